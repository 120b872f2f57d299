"""A shared disk as NFS and Lustre show it: what another machine has made is, for a while, not there.

A client remembers that a name was nothing, or what a folder listed, and asks the server again only when that memory has
run out. What needs the server (making a file, link or folder that must not be there, renaming) is answered at once
and truly, and so is the first look at a name.
"""

import builtins
import errno
import io
import os
import time
from collections.abc import Callable
from typing import Any, Self

LOOKS = ("stat", "lstat", "readlink", "open", "scandir", "listdir", "unlink")
MAKES = ("mkdir", "symlink", "rename", "replace")


class LateDisk:
    """How this process sees files below a folder: what it was told of them holds for `seconds`, but for its own.

    folders: what it was told of a folder's entries, too.
    """

    def __init__(self, root: str, seconds: float, folders: bool) -> None:
        self.root, self.seconds, self.folders = os.path.realpath(root), seconds, folders
        self.absent: dict[str, float] = {}  # when the server last said that a name is nothing
        self.listed: dict[str, tuple[float, list[str]]] = {}
        self.mine: set[str] = set()
        self.hidden = 0  # how often something that is there was not shown
        self.real = {name: getattr(os, name) for name in (*LOOKS, *MAKES)} | {"io.open": io.open}

    def begin(self) -> None:
        """Put it before the system's calls, for the rest of this process."""
        for name in LOOKS:
            setattr(os, name, self._look(name))
        for name in MAKES:
            setattr(os, name, self._make(name))
        io.open = builtins.open = self._open  # type: ignore[assignment]

    def _is_late(self, path: Any) -> bool:
        """Whether a name that is looked up now is there, and said to be nothing."""
        if isinstance(path, int):
            return False
        name = _absolute(path)
        if not name.startswith(self.root + os.sep) or name in self.mine:
            return False
        if self._is_late(os.path.dirname(name)):
            return True
        now = time.monotonic()
        try:
            self.real["lstat"](name)
        except OSError:
            if now - self.absent.get(name, -self.seconds) >= self.seconds:
                self.absent[name] = now
            return False
        return now - self.absent.get(name, -self.seconds) < self.seconds

    def _refuse_late(self, path: Any) -> None:
        if self._is_late(path):
            self.hidden += 1
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))

    def _look(self, name: str) -> Callable[..., Any]:
        whole = self.real[name]

        def look(path: Any = ".", *rest: Any, **named: Any) -> Any:
            if name == "open" and (rest[0] if rest else named["flags"]) & os.O_CREAT:
                self.mine.add(_absolute(path))
                return whole(path, *rest, **named)
            if named.get("dir_fd") is None:
                self._refuse_late(path)
            if name not in ("listdir", "scandir") or isinstance(path, int):
                return whole(path, *rest, **named)
            shown = set(self._entries(path))
            if name == "listdir":
                return [entry for entry in whole(path) if entry in shown]
            with whole(path) as entries:
                return _Entries([entry for entry in entries if entry.name in shown])

        return look

    def _entries(self, path: Any) -> list[str]:
        folder, now = _absolute(path), time.monotonic()
        there = self.real["listdir"](folder)
        before, known = self.listed.get(folder, (-self.seconds, []))
        if not self.folders or now - before >= self.seconds:
            self.listed[folder] = now, there
            for name in there:  # an entry that was listed is something
                self.absent.pop(os.path.join(folder, name), None)
            return there
        shown = [name for name in there if name in known or os.path.join(folder, name) in self.mine]
        self.hidden += len(there) - len(shown)
        return shown

    def _make(self, name: str) -> Callable[..., Any]:
        whole = self.real[name]

        def make(*paths: Any, **named: Any) -> Any:
            # The server's answer, that something is there already too, ends what the client remembered.
            self.mine.add(_absolute(paths[0] if name == "mkdir" else paths[1]))
            return whole(*paths, **named)

        return make

    def _open(self, file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if isinstance(file, int):
            return self.real["io.open"](file, mode, *rest, **named)
        if any(letter in mode for letter in "wxa"):
            self.mine.add(_absolute(file))
        self._refuse_late(file)
        return self.real["io.open"](file, mode, *rest, **named)


class _Entries:
    """What `os.scandir` gives: an iterator that is a context manager."""

    def __init__(self, entries: list[Any]) -> None:
        self._left = iter(entries)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return next(self._left)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass


def _absolute(path: Any) -> str:
    return os.path.abspath(os.fspath(path))
