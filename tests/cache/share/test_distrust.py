"""Nothing that a shared cache says about itself is taken on trust: it is refused, with nothing taken."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from cache.format.seals import seal_of
from cache.share.remote import Folder
from cache.share.share import pull, push
from common.documents import LARGEST
from common.errors import CacheError

OUT = Path("caches/pulled")


def nothing_taken() -> None:
    assert not OUT.exists()


def test_a_truncated_upload_is_refused_and_mended_by_pushing_again(path, shared):
    remote, folder = shared
    shard = folder / "embedding/c/1/2/0"
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(CacheError, match=r"embedding/c/1/2/0: not as the ledger has it .*bytes"):
        pull(remote, OUT)
    nothing_taken()
    push(path, remote, "unknown", "unknown")
    pull(remote, OUT)


@pytest.mark.parametrize(
    ("name", "size", "match"),
    [
        ("norm/c/0/1", 10**9, "norm/c/0/1: not as the ledger has it .1000000000 bytes"),
        ("ledger/zarr.json", LARGEST + 1, "ledger/zarr.json: 1,073,741,825 bytes, more than such a file can have"),
    ],
)
def test_a_file_of_another_size_is_refused_before_a_byte_of_it_travels(shared, monkeypatch, name, size, match):
    remote, fetched, fetch = shared[0], [], Folder.fetch
    os.truncate(shared[1] / name, size)  # a hole
    monkeypatch.setattr(Folder, "fetch", lambda self, name, to: (fetched.append(name), fetch(self, name, to)))
    with pytest.raises(CacheError, match=match):
        pull(remote, OUT)
    assert name not in fetched
    nothing_taken()


@pytest.mark.parametrize("name", ["embedding/c/0/1/0", "norm/c/1/3", "label/c/0", "center/c/0/0", "pixels/c/0/4"])
def test_a_flipped_byte_is_refused_by_name(shared, name):
    remote, folder = shared
    data = bytearray((folder / name).read_bytes())
    data[5] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(CacheError, match=f"{name}: not as the ledger has it"):
        pull(remote, OUT)
    nothing_taken()


def rewrite(folder: Path, change) -> None:
    """Change the shared ledger or manifest, and seal it again as an attacker would."""
    file, root = folder / "ledger/zarr.json", folder / "zarr.json"
    metadata, group = json.loads(file.read_text()), json.loads(root.read_text())
    change(metadata["attributes"]["files"], group["attributes"]["teacher_cache"])
    file.write_text(json.dumps(metadata))
    manifest = group["attributes"]["teacher_cache"]
    if manifest["sealed"]:
        manifest["sealed"] = seal_of(folder, manifest, len(metadata["attributes"]["files"]), {})
    root.write_text(json.dumps(group))


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/tmp/evil",
        "embedding/../../evil",
        "embedding//evil",
        ".hidden",
        "embedding/.evil",
        "a\\b",
        "norm/c/\n0",
        "",
    ],
)
def test_a_file_name_that_leads_elsewhere_is_refused(world, shared, name):
    remote, folder = shared
    (world / "evil").write_bytes(b"gotcha")
    entry = {"bytes": 6, "sha256": hashlib.sha256(b"gotcha").hexdigest()}
    rewrite(folder, lambda files, manifest: files.update({name: entry}))
    with pytest.raises(CacheError, match="its ledger lists a file named"):
        pull(remote, OUT)
    nothing_taken()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda files, manifest: manifest.update(sealed=None), "not sealed"),
        (lambda files, manifest: manifest.update(layout={"rows": 3}), "damaged at .*layout"),
        (lambda files, manifest: manifest.update(format=99), "cache format 99"),
        (lambda files, manifest: files.pop("embedding/c/0/0/0"), "its ledger lists not embedding/c/0/0/0"),
        (lambda files, manifest: files.update({"norm/c/0/0": 7}), "damaged"),
        (
            lambda files, manifest: [manifest["layout"].update(views=10**12), manifest["views"].update(count=10**12)],
            "its ledger lists not embedding/c/2/0/0",
        ),
        (lambda files, manifest: manifest["layout"].update(views=3), "damaged: layout.views 3, faces and views 2"),
        (lambda files, manifest: manifest["layout"].update(shard_rows=0), "damaged"),
    ],
)
def test_a_manifest_or_ledger_that_is_wrong_is_refused(shared, change, match):
    remote, folder = shared
    rewrite(folder, change)
    with pytest.raises(CacheError, match=match):
        pull(remote, OUT)
    nothing_taken()


def test_a_ledger_that_is_not_the_sealed_one_is_refused(shared):
    remote, folder = shared
    file = folder / "ledger/zarr.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(CacheError, match="the ledger is not the one that was sealed"):
        pull(remote, OUT)


def test_codecs_that_are_not_a_caches_are_refused(shared):
    remote, folder = shared
    file = folder / "label/zarr.json"
    file.write_text(file.read_text().replace('"crc32c"', '"numcodecs.pickle"'))
    with pytest.raises(CacheError, match=rf"{remote.url}/label/zarr\.json: .*: not taken"):
        pull(remote, OUT)
    nothing_taken()


def test_arrays_cut_otherwise_than_the_manifest_says_are_refused(shared):
    remote, folder = shared
    file = folder / "norm/zarr.json"
    metadata = json.loads(file.read_text())
    metadata["shape"] = [2, 34]
    file.write_text(json.dumps(metadata))
    with pytest.raises(CacheError, match=r"norm/zarr\.json: not the one that follows from the manifest's layout"):
        pull(remote, OUT)
    nothing_taken()


@pytest.mark.parametrize("field", ["teacher", "faces", "views", "decoder", "confidence", "layout", "created"])
@pytest.mark.parametrize("value", [None, "x", [], 3, {}])
def test_a_manifest_that_says_less_than_a_cache_needs_is_refused_before_anything_is_taken(shared, field, value):
    if value == "x" and field in ("decoder", "created"):
        pytest.skip("any text will do")
    remote, folder = shared
    rewrite(folder, lambda files, manifest: manifest.update({field: value}))
    with pytest.raises(
        CacheError, match=f"{remote.url}/zarr.json: damaged at .*{field}.*have it pushed again"
    ) as error:
        pull(remote, OUT)
    assert "\n" not in str(error.value)
    assert not list(OUT.with_name(".pulled.pulling").rglob("c"))


def test_what_is_no_file_at_the_place_it_comes_from_is_neither_waited_for_nor_taken(shared):
    remote, folder = shared
    (folder / "norm/c/0/0").unlink()
    os.mkfifo(folder / "norm/c/0/0")
    with pytest.raises(CacheError, match="norm/c/0/0: not a regular file"):
        pull(remote, OUT)
    os.unlink(folder / "norm/c/0/0")
    (folder / "norm/c/0/0").mkdir()
    with pytest.raises(CacheError, match="norm/c/0/0: not a regular file"):
        pull(remote, OUT)
    nothing_taken()
