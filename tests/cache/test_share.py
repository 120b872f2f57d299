"""A cache that travels arrives byte for byte or not at all, and nothing it says about itself is taken on trust."""

import hashlib
import json
import re
from pathlib import Path

import fsspec
import numpy as np
import pytest
import zarr
from click.testing import CliRunner

from cache.__main__ import main
from cache.build import build
from cache.reader import TeacherCache
from cache.remote import Folder, HubDataset, open_remote
from cache.sealed import seal_of
from cache.share import pull, push
from cache.subset import cut_out
from cache.verify import check_store
from common.config_file import toml_of
from common.errors import CacheError
from common.sources import open_source
from tests.cache.test_build import tree
from tests.tiny import TinyTeacher, experiment

OUT = Path("caches/pulled")


@pytest.fixture
def path(world) -> Path:
    return build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)


@pytest.fixture(params=["file", "memory"])
def remote(request, world) -> Folder:
    if request.param == "file":
        return open_remote(f"file://{world}/shared/tiny")
    fsspec.filesystem("memory").store.clear()
    return open_remote("memory://shared/tiny")


@pytest.fixture
def shared(path, world) -> tuple[Folder, Path]:
    """A pushed cache, and the folder it lies in."""
    remote = open_remote(f"file://{world}/shared")
    push(path, remote, "unknown", "unknown")
    return remote, world / "shared"


def nothing_taken() -> None:
    assert not OUT.exists()


def test_a_pulled_cache_has_the_bytes_of_the_pushed_one_and_a_card(path, remote):
    push(path, remote, "research only", "MIT")
    pull(remote, OUT)
    here = tree(OUT)
    assert here.pop("ledger/README.md")
    assert here == tree(path)
    assert check_store(OUT) == []
    assert [p.name for p in Path("caches").iterdir() if p.name.startswith(".")] == [".tiny.lock"]


def test_only_files_of_the_cache_travel(path, remote):
    (path / "notes.txt").write_text("password")
    (path / "embedding/c/0/0/.0.writing").write_text("half")
    push(path, remote, "unknown", "unknown")
    pull(remote, OUT)
    assert tree(OUT).keys() - tree(path).keys() == {"ledger/README.md"}
    assert tree(path).keys() - tree(OUT).keys() == {"notes.txt", "embedding/c/0/0/.0.writing"}


def test_a_subset_takes_its_selection_along(path, remote):
    cut_out(TeacherCache(path), open_source("data/faces"), np.array([2, 3]), Path("caches/small"))
    push(Path("caches/small"), remote, "unknown", "unknown")
    assert (pull(remote, OUT) / "ledger/subset.json").exists()


def test_the_card_states_what_the_cache_is_and_whose_data_it_is(path, shared):
    card, manifest = (shared[1] / "README.md").read_text(), TeacherCache(path).manifest
    facts = [
        "tiny.onnx, licence unknown",
        "35 of 7 people (recordio), licence unknown",
        "policy flip",
        "biometric data",
    ]
    digests = [manifest["teacher"]["weights_sha256"], manifest["faces"]["fingerprint"], manifest["sealed"]["ledger"]]
    for fact in (*facts, *digests, manifest["decoder"], f"python -m cache pull {shared[0].url}"):
        assert fact in card
    assert re.match(r"---\nlicense: other\nlicense_name: see-card\n", card)


def test_licences_are_asked_for(path, remote):
    with pytest.raises(CacheError, match=r"licence of tiny\.onnx is not known here: give --teacher-licence"):
        push(path, remote, "CC-BY")
    Path("tiny.toml").write_text(toml_of(experiment()))
    result = CliRunner().invoke(main, ["push", "--config", "tiny.toml", "memory://x"])
    assert result.exit_code == 2
    assert "--faces-licence" in result.output


def test_an_interrupted_push_is_no_cache_and_goes_on(path, remote, monkeypatch):
    put, sent = Folder._put, []

    def failing(self, name, content):
        sent.append(name)
        if len(sent) == 9:
            raise KeyboardInterrupt
        put(self, name, content)

    monkeypatch.setattr(Folder, "_put", failing)
    with pytest.raises(KeyboardInterrupt):
        push(path, remote, "unknown", "unknown")
    with pytest.raises(CacheError, match=r"zarr\.json: not there: no cache, or its push has not finished"):
        pull(remote, OUT)
    nothing_taken()
    first = set(sent[:8])
    sent[:] = [""] * 100
    total = push(path, remote, "unknown", "unknown")
    again = set(sent[100:])
    assert not again & first
    assert len(again | first) == total
    pull(remote, OUT)


def test_a_truncated_upload_is_refused_and_mended_by_pushing_again(path, shared):
    remote, folder = shared
    shard = folder / "embedding/c/1/2/0"
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(CacheError, match=r"embedding/c/1/2/0: not as the ledger has it .*bytes"):
        pull(remote, OUT)
    nothing_taken()
    push(path, remote, "unknown", "unknown")
    pull(remote, OUT)


@pytest.mark.parametrize("name", ["embedding/c/0/1/0", "norm/c/1/3", "label/c/0", "center/c/0/0", "pixels/c/0/4"])
def test_a_flipped_byte_is_refused_by_name(shared, name):
    remote, folder = shared
    data = bytearray((folder / name).read_bytes())
    data[5] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(CacheError, match=f"{name}: not as the ledger has it"):
        pull(remote, OUT)
    nothing_taken()


def test_an_interrupted_pull_goes_on_and_fetches_nothing_twice(path, shared, monkeypatch):
    monkeypatch.setattr("cache.share._AT_ONCE", 1)
    remote, fetched, fetch = shared[0], [], Folder.fetch

    def counting(self, name, to):
        fetched.append(name)
        if len(fetched) == 20:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.with_name(f".{to.name}.part").write_bytes(b"half")
            raise KeyboardInterrupt
        fetch(self, name, to)

    monkeypatch.setattr(Folder, "fetch", counting)
    with pytest.raises(KeyboardInterrupt):
        pull(remote, OUT)
    nothing_taken()
    before, fetched[:] = [name for name in fetched[:19] if not name.endswith("zarr.json")], [""] * 100
    assert len(before) > 5
    pull(remote, OUT)
    assert not set(before) & set(fetched[100:])
    assert tree(OUT).keys() - {"ledger/README.md"} == tree(path).keys()


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
    with pytest.raises(CacheError, match=r"label/zarr\.json: codecs \['numcodecs\.pickle'\] have no place"):
        pull(remote, OUT)


def test_arrays_cut_otherwise_than_the_manifest_says_are_refused(shared):
    remote, folder = shared
    file = folder / "norm/zarr.json"
    metadata = json.loads(file.read_text())
    metadata["shape"] = [2, 34]
    file.write_text(json.dumps(metadata))
    with pytest.raises(CacheError, match=r"norm/zarr\.json: not the one that follows from the manifest's layout"):
        pull(remote, OUT)
    nothing_taken()


def test_what_is_not_whole_or_not_sealed_is_not_pushed(path, remote):
    shard = path / "norm/c/0/0"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CacheError, match="norm/c/0/0"):
        push(path, remote, "unknown", "unknown")
    config = experiment(cache={"path": "caches/half"})
    with pytest.raises(KeyboardInterrupt):
        build(config, open_source("data/faces"), TinyTeacher(fail_after=3), threads=1, quiet=True)
    with pytest.raises(CacheError, match="not finished"):
        push(Path("caches/half"), remote, "unknown", "unknown")


def test_another_cache_at_the_same_place_is_not_mixed_with(path, remote):
    push(path, remote, "unknown", "unknown")
    config = experiment(cache={"path": "caches/other"})
    other = build(config, open_source("data/faces"), TinyTeacher(1), threads=1, quiet=True)
    with pytest.raises(CacheError, match="another cache is there"):
        push(other, remote, "unknown", "unknown")
    assert pull(remote, OUT).exists()


def test_places_by_their_names():
    assert isinstance(open_remote("owner/name"), HubDataset)
    assert open_remote("hf://datasets/owner/name").url == "hf://datasets/owner/name"
    with pytest.raises(CacheError, match=r"nowhere://x: .*file:///folder, or owner/name"):
        open_remote("nowhere://x")


def test_the_commands_say_what_they_did(path, world):
    Path("tiny.toml").write_text(toml_of(experiment()))
    url = f"file://{world}/shared"
    licences = ["--faces-licence", "unknown", "--teacher-licence", "unknown"]
    result = CliRunner().invoke(main, ["push", "--config", "tiny.toml", url, *licences])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(main, ["pull", url, "--out", str(OUT)])
    assert result.exit_code == 0, result.output
    assert "35 of 7 people" in result.output
    assert zarr.open_group(OUT, mode="r")["embedding"].shape == (2, 35, 16)
    result = CliRunner().invoke(main, ["pull", url, "--out", str(OUT)])
    assert (result.exit_code, "exists: choose another --out" in result.output) == (2, True)
