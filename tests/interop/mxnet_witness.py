"""The genuine mxnet as a witness. Runs in its own environment and imports nothing of this repository.

    mxnet_witness.py write SPEC REC IDX     write the records of SPEC (JSON) with mxnet
    mxnet_witness.py read REC IDX OUT       what mxnet reads, as JSON
    mxnet_witness.py rate REC IDX COUNT     faces decoded a second in random order, as JSON

Bytes stand in the JSON as hexadecimal digits, float32 labels as their four bytes.
"""

import hashlib
import json
import random
import sys
import time

import mxnet as mx
import numpy as np


def write(spec_path, rec_path, idx_path):
    with open(spec_path) as file:
        spec = json.load(file)
    writer = mx.recordio.MXIndexedRecordIO(idx_path, rec_path, "w")
    for record in spec:
        payload = bytes.fromhex(record["payload"])
        if record["labels"] is None:
            writer.write_idx(record["key"], payload)
            continue
        label = np.frombuffer(bytes.fromhex(record["labels"]), "<f4")
        if record["scalar"]:
            label = float(label[0])
        header = mx.recordio.IRHeader(0, label, record["id"], record["id2"])
        writer.write_idx(record["key"], mx.recordio.pack(header, payload))
    writer.close()


def read(rec_path, idx_path, out_path):
    reader = mx.recordio.MXIndexedRecordIO(idx_path, rec_path, "r")
    result = []
    for key in reader.keys:
        raw = reader.read_idx(key)
        seen = {"key": key, "raw": raw.hex()}
        if len(raw) >= 24:
            seen.update(image_record(raw))
        result.append(seen)
    with open(out_path, "w") as file:
        json.dump(result, file)


def image_record(raw):
    """What mxnet makes of a record with an image header, or nothing where it has none."""
    try:
        header, payload = mx.recordio.unpack(raw)
    except ValueError:
        return {}
    seen = {"flag": header.flag, "id": header.id, "id2": header.id2, "payload": bytes(payload).hex()}
    seen["labels"] = np.asarray(header.label, "<f4").tobytes().hex()
    if bytes(payload[:2]) == b"\xff\xd8":
        rgb = mx.image.imdecode(payload).asnumpy()
        seen["rgb_shape"] = rgb.shape
        seen["rgb_sha256"] = hashlib.sha256(rgb.tobytes()).hexdigest()
    return seen


def rate(rec_path, idx_path, count):
    """Open, then read and decode `count` pictures in random order, one after the other; three rounds."""
    started = time.perf_counter()
    reader = mx.recordio.MXIndexedRecordIO(idx_path, rec_path, "r")
    opened = time.perf_counter() - started
    pictures = [key for key in reader.keys if len(mx.recordio.unpack(reader.read_idx(key))[1])]
    keys = random.Random(0).sample(pictures, min(int(count), len(pictures)))
    rates = []
    for _ in range(3):
        started = time.perf_counter()
        for key in keys:
            _, payload = mx.recordio.unpack(reader.read_idx(key))
            mx.image.imdecode(payload).asnumpy()
        rates.append(len(keys) / (time.perf_counter() - started))
    json.dump({"mxnet": mx.__version__, "open_seconds": opened, "faces_per_second": rates}, sys.stdout)


if __name__ == "__main__":
    {"write": write, "read": read, "rate": rate}[sys.argv[1]](*sys.argv[2:])
