"""Makes tests/golden/recordio/made_up_faces: pictures drawn here, written and read by mxnet 1.9.1.

    python tests/interop/make_golden.py      needs .venv-mxnet (made by `make test-mxnet`)

Run it once; the files it made are part of the repository, so that the quick tests need no mxnet.
"""

import hashlib
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from common.faces.pixels import encode_jpeg
from common.faces.recordio import MAGIC

ROOT = Path(__file__).parents[2]

PICTURES_OF = (5, 1, 4, 0, 2)  # the fourth identity has none
HEADER_BYTES = 24 + 2 * 4


def face(identity: int, number: int) -> bytes:
    """A noisy ellipse in the identity's colours; the second of every three JPEGs has the magic in a comment."""
    rng = np.random.default_rng([identity, number])
    colours = np.random.default_rng(identity).integers(0, 256, (2, 3))
    y, x = np.mgrid[0:56, 0:48] - np.array([28, 24])[:, None, None] - rng.integers(-4, 5, 2)[:, None, None]
    inside = (x / 16) ** 2 + (y / 22) ** 2 < 1
    rgb = np.where(inside[..., None], colours[0], colours[1]) + rng.normal(0, 12, (56, 48, 3))
    jpeg = encode_jpeg(rgb.clip(0, 255).astype(np.uint8), 90)
    if number % 3 != 1:
        return jpeg
    # start marker (2 bytes), comment marker (2), length (2), then fill up to a multiple of 4 bytes of the record
    comment = bytes(-(HEADER_BYTES + 6) % 4) + MAGIC * (identity + 1)
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def image_record(key: int, labels: tuple[float, float], payload: bytes = b"") -> dict:
    bits = np.array(labels, "<f4").tobytes().hex()
    return {"key": key, "scalar": False, "labels": bits, "id": key, "id2": 0, "payload": payload.hex()}


def faces_emore() -> list[dict]:
    """The records of the layout: pictures, key 0, identity ranges."""
    spec, spans = [], []
    for identity, count in enumerate(PICTURES_OF):
        spans.append((len(spec) + 1, len(spec) + 1 + count))
        spec += [image_record(len(spec) + 1 + n, (identity, 1.0), face(identity, n)) for n in range(count)]
    end = len(spec) + 1
    spec.append(image_record(0, (end, end + len(spans))))
    return spec + [image_record(end + number, span) for number, span in enumerate(spans)]


def main() -> None:
    folder = ROOT / "tests" / "golden" / "recordio" / "made_up_faces"
    folder.mkdir(parents=True, exist_ok=True)
    rec, idx = folder / "train.rec", folder / "train.idx"
    with tempfile.TemporaryDirectory() as scratch:
        spec, seen = Path(scratch) / "spec.json", Path(scratch) / "seen.json"
        spec.write_text(json.dumps(faces_emore()))
        witness = [ROOT / ".venv-mxnet" / "bin" / "python", ROOT / "tests" / "interop" / "mxnet_witness.py"]
        subprocess.run([*witness, "write", spec, rec, idx], check=True)
        subprocess.run([*witness, "read", rec, idx, seen], check=True)
        read_by_mxnet = json.loads(seen.read_text())
    offsets = dict(line.split("\t") for line in idx.read_text().splitlines())
    records = []
    for item in read_by_mxnet:
        record = {"key": item["key"], "offset": int(offsets[str(item["key"])]), "flag": item["flag"]}
        record |= {"label": np.frombuffer(bytes.fromhex(item["labels"]), "<f4").tolist(), "label_is_vector": True}
        record |= {"id": item["id"], "id2": item["id2"]}
        record |= {f"{part}_sha256": hashlib.sha256(bytes.fromhex(item[name])).hexdigest()
                   for part, name in (("record", "raw"), ("payload", "payload"))}  # fmt: skip
        record |= {name: item[name] for name in ("rgb_shape", "rgb_sha256") if name in item}
        records.append(record)
    expected = {
        "written_by": "mxnet 1.9.1",
        "rec_sha256": hashlib.sha256(rec.read_bytes()).hexdigest(),
        "idx_key_order": [item["key"] for item in read_by_mxnet],
        "records": records,
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    (folder / "property").write_text(f"{len(PICTURES_OF)},56,48")


if __name__ == "__main__":
    main()
