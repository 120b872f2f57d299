"""A pull goes on where it was cut off, in a folder of its own and in no other."""

import os
import shutil
from pathlib import Path

import pytest

from cache.share.remote import Folder
from cache.share.share import pull
from common.errors import CacheError, UserError
from common.writers.claims import at_work
from tests.tiny import tree

OUT = Path("caches/pulled")


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
    assert not OUT.exists()
    before, fetched[:] = [name for name in fetched[:19] if not name.endswith("zarr.json")], [""] * 100
    assert len(before) > 5
    pull(remote, OUT)
    assert not set(before) & set(fetched[100:])
    assert tree(OUT).keys() - {"ledger/README.md"} == tree(path).keys()


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
    assert not OUT.exists()


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
