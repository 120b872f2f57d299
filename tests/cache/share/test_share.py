"""A cache that travels arrives byte for byte or not at all, and nothing it says about itself is taken on trust."""

import errno
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import common.files
from cache.__main__ import main
from cache.build import build
from cache.format.arrays import layout_of
from cache.format.seals import seal_of
from cache.reader import TeacherCache
from cache.share.card import dataset_card
from cache.share.remote import Folder, HubDataset, open_remote
from cache.share.share import pull, push
from cache.subset import cut_out
from cache.verify import check_store
from common.config.file import toml_of
from common.documents import LARGEST
from common.errors import CacheError, UserError
from common.faces.sources import open_source
from common.writers.claims import at_work
from tests.tiny import TinyTeacher, experiment, tree

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
    assert {p.name for p in Path("caches").iterdir() if p.name.startswith(".")} <= {".pulled.claims"}


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
    put, sent = type(remote)._put, []

    def failing(self, name, content):
        sent.append(name)
        if len(sent) == 9:
            raise KeyboardInterrupt
        put(self, name, content)

    monkeypatch.setattr(type(remote), "_put", failing)
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


def test_an_interrupted_pull_goes_on_and_fetches_nothing_twice(path, shared, monkeypatch):
    monkeypatch.setattr("cache.share.share._AT_ONCE", 1)
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


@pytest.mark.parametrize("name", ["embedding/c/0/1/0", "label/zarr.json", "ledger/zarr.json", "README.md"])
def test_a_damaged_file_of_equal_size_is_sent_again_and_no_other(path, remote, monkeypatch, name):
    push(path, remote, "unknown", "unknown")
    file = remote._path(name)
    whole = remote._files.cat_file(file)
    remote._files.pipe_file(file, whole[:9] + bytes([whole[9] ^ 1]) + whole[10:])
    sent, put = [], type(remote)._put
    monkeypatch.setattr(type(remote), "_put", lambda self, name, content: (sent.append(name), put(self, name, content)))
    push(path, remote, "unknown", "unknown")
    assert sent == [name]
    assert remote._files.cat_file(file) == whole
    pull(remote, OUT)


@pytest.mark.parametrize("name", ["ledger/zarr.json", "zarr.json", "norm/c/0/0"])
@pytest.mark.parametrize("half", [0, 100])
def test_a_push_goes_on_after_a_file_that_was_left_half_written(path, remote, name, half):
    push(path, remote, "unknown", "unknown")
    if name != "zarr.json":
        remote._files.rm(remote._path("zarr.json"))
    remote._files.pipe_file(remote._path(name), remote._files.cat_file(remote._path(name))[:half])
    push(path, remote, "unknown", "unknown")
    pull(remote, OUT)
    assert tree(OUT).keys() - {"ledger/README.md"} == tree(path).keys()


def test_another_push_that_was_cut_off_is_not_mixed_with(path, remote):
    other = build(experiment(cache={"path": "caches/other"}), open_source("data/faces"), TinyTeacher(1), 1, True)
    push(other, remote, "unknown", "unknown")
    remote._files.rm(remote._path("zarr.json"))
    with pytest.raises(CacheError, match=r"another cache is there \(ledger/zarr\.json differs"):
        push(path, remote, "unknown", "unknown")


def test_a_full_disk_ends_a_push_in_one_line_with_nothing_half_written_and_it_goes_on(path, world, monkeypatch):
    remote, copy = open_remote(f"file://{world}/shared"), shutil.copyfile

    def full(source, target):
        if "norm/c/1/2" in str(source):
            Path(target).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return copy(source, target)

    monkeypatch.setattr("cache.share.remote.shutil.copyfile", full)
    with pytest.raises(CacheError, match=r"cannot be written \(.*No space left on device: .*norm/c/1/2.*it goes on"):
        push(path, remote, "unknown", "unknown")
    there = tree(world / "shared")
    assert there
    assert there == {name: data for name, data in tree(path).items() if name in there}
    monkeypatch.setattr("cache.share.remote.shutil.copyfile", copy)
    push(path, remote, "unknown", "unknown")
    pull(remote, OUT)


def test_a_pushed_file_is_on_the_disk_before_the_manifest_names_the_cache(path, world, monkeypatch):
    synced, replace, sync = [], os.replace, common.files.sync
    missing = []

    def replacing(source, target):
        if Path(target) == world / "shared/zarr.json":
            wanted = [file for file in (world / "shared").rglob("*") if not file.name.startswith(".")]
            missing.extend(set(wanted) - set(synced))
        synced.append(Path(target))  # its bytes were synced under the temporary name
        assert Path(source) in synced
        replace(source, target)

    monkeypatch.setattr("common.files.sync", lambda path: (synced.append(Path(path)), sync(path)))
    monkeypatch.setattr(os, "replace", replacing)
    push(path, open_remote(f"file://{world}/shared"), "unknown", "unknown")
    assert world / "shared" in synced
    assert missing == []


@pytest.mark.parametrize("what", ["link", "folder", "file"])
def test_what_no_pull_has_made_is_neither_followed_nor_cleared(shared, world, what):
    foreign, making = world / "foreign", OUT.with_name(".pulled.pulling")
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years")
    if what == "link":
        (foreign / ".pulling").touch()  # another pull's
        making.symlink_to(foreign)
    elif what == "folder":
        shutil.copytree(foreign, making)
    else:
        making.write_text("years")
    with pytest.raises(CacheError, match=r"\.pulled\.pulling: no pull has made this: move it away"):
        pull(shared[0], OUT)
    assert (foreign / "thesis.txt").read_text() == "years"
    assert making.is_file() or (making / "thesis.txt").read_text() == "years"
    nothing_taken()


def test_links_in_what_an_earlier_pull_left_are_not_followed(path, shared, world):
    foreign, making = world / "foreign", OUT.with_name(".pulled.pulling")
    foreign.mkdir()
    (foreign / "zarr.json").write_text("years")
    making.mkdir(parents=True)
    (making / ".pulling").touch()
    (making / "embedding").symlink_to(foreign)
    (making / ".zarr.json.part").symlink_to(foreign / "zarr.json")
    os.mkfifo(making / "norm")
    pull(shared[0], OUT)
    assert [(file.name, file.read_text()) for file in foreign.iterdir()] == [("zarr.json", "years")]
    assert tree(OUT).keys() - {"ledger/README.md"} == tree(path).keys()


def test_two_pulls_of_one_place_at_once_are_refused(shared, monkeypatch):
    with at_work(OUT, "a pull"), pytest.raises(UserError, match=r"a pull .* is at work on it"):
        pull(shared[0], OUT)


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


def test_a_teachers_name_cannot_break_out_of_the_card(path):
    manifest = TeacherCache(path).manifest
    manifest["teacher"]["name"] = "a|b\n---\n\x1b[2J# c"
    card = dataset_card(manifest, layout_of(manifest), "memory://x", "MIT", "x\ny")
    assert "\x1b" not in card
    assert not re.search(r"^(# c|y|---\\n# c)", card, re.MULTILINE)
    assert card.count("\n---\n") == 1


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
