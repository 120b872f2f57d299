"""Nothing is called finished before it is on the disk: files, then the folders that name them, then the seal."""

import os
from pathlib import Path

import numpy as np
import pytest

from cache.append import append
from cache.build import build
from cache.reader import TeacherCache
from cache.repair import repair
from cache.subset import cut_out
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment


class Disk:
    """Which files and folder entries a power cut would leave, from the calls a program makes."""

    def __init__(self, patch: pytest.MonkeyPatch, seal: Path) -> None:
        self.seal, self.time, self.missing_at_seal = seal, 0, None
        self.synced: dict[int, int] = {}
        self.named: dict[int, int] = {}
        self.already = {path.stat().st_ino for path in Path("caches").rglob("*")} if Path("caches").exists() else set()
        self._replace, self._mkdir, self._unlink = os.replace, os.mkdir, os.unlink
        patch.setattr(os, "fsync", self.fsync)
        patch.setattr(os, "unlink", self.unlink)
        patch.setattr(os, "replace", self.replace)
        patch.setattr(os, "mkdir", self.mkdir)

    def fsync(self, handle: int) -> None:
        self.time += 1
        self.synced[os.fstat(handle).st_ino] = self.time

    def replace(self, source, target, **rest) -> None:
        if Path(target) == self.seal:
            self.missing_at_seal = self.missing(Path(source))
        if Path(target).exists():
            self.forget(target)
        self._replace(source, target, **rest)
        self.time += 1
        self.named[os.stat(target).st_ino] = self.time

    def mkdir(self, path, *args, **rest) -> None:
        self._mkdir(path, *args, **rest)
        self.time += 1
        self.named[os.stat(path).st_ino] = self.time

    def unlink(self, path, **rest) -> None:
        if "dir_fd" not in rest and Path(path).exists():
            self.forget(path)
        self._unlink(path, **rest)

    def forget(self, path) -> None:
        """The number of a removed file may be another one's next."""
        inode = os.stat(path).st_ino
        self.already.discard(inode)
        self.synced.pop(inode, None)
        self.named.pop(inode, None)

    def missing(self, manifest: Path) -> list[str]:
        """What of the cache is not certain to be on the disk."""
        folder = self.seal.parent
        lost = [f"bytes of {p}" for p in folder.rglob("*") if p.is_file() and not self.certain(p)]
        for path in [*folder.rglob("*")]:
            named = self.named.get(path.stat().st_ino)
            if path != manifest and named and self.synced.get(path.parent.stat().st_ino, 0) < named:
                lost.append(f"name of {path}")
        return lost

    def certain(self, path: Path) -> bool:
        inode = path.stat().st_ino
        return inode in self.synced or (inode in self.already and inode not in self.named)


def run(command, **views) -> None:
    config = experiment(views={"policy": "flip+adaface", "count": 2, **views})
    command(config, open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)


def damaged_cache() -> None:
    run(build)
    for name in ("embedding/c/0/1/0", "label/c/1", "norm/zarr.json"):
        Path("caches/tiny", name).write_text("gone")


@pytest.mark.parametrize("command", ["build", "append", "repair", "subset"])
def test_every_file_and_folder_is_on_the_disk_before_the_seal(world, monkeypatch, command):
    begin = {"build": lambda: None, "append": lambda: run(build), "repair": damaged_cache, "subset": lambda: run(build)}
    begin[command]()
    seal = Path("caches/.small.cutting/zarr.json" if command == "subset" else "caches/tiny/zarr.json")
    with monkeypatch.context() as patch:
        disk = Disk(patch, seal)
        if command == "subset":
            cut_out(TeacherCache("caches/tiny"), open_source("data/faces"), np.array([1, 4]), Path("caches/small"))
        else:
            run({"build": build, "append": append, "repair": repair}[command], count=3 if command == "append" else 2)
    assert disk.missing_at_seal == []
    if command in ("build", "subset"):
        assert Path("caches").stat().st_ino in disk.synced, "the folder in which the cache got its name"
