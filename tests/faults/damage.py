"""Ways in which a file on disk is not what a program wrote."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path], None]


def removed(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def holds(content: bytes) -> Damage:
    """Other bytes in its place."""

    def damage(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return damage


def halved(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flipped(path: Path) -> None:
    """One bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def a_folder(path: Path) -> None:
    removed(path)
    path.mkdir()


def a_file(path: Path) -> None:
    removed(path)
    path.write_bytes(b"mine")


def a_pipe(path: Path) -> None:
    """Reading it waits for a writer who never comes."""
    removed(path)
    os.mkfifo(path)


def a_device(path: Path) -> None:
    """Reading it never ends."""
    removed(path)
    path.symlink_to("/dev/zero")


def a_loop(path: Path) -> None:
    removed(path)
    path.symlink_to(path.name)


def with_value(*keys: str | int, value: object) -> Damage:
    """One value of a JSON document changed."""

    def damage(path: Path) -> None:
        document = json.loads(path.read_text())
        inner = document
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        path.write_text(json.dumps(document))

    return damage


def changed_text(old: str, new: str) -> Damage:
    def damage(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return damage


JSON_DAMAGES: dict[str, Damage] = {
    "removed": removed,
    "empty": holds(b""),
    "half of it": halved,
    "a list": holds(b"[]"),
    "null": holds(b"null"),
    "an empty object": holds(b"{}"),
    "not UTF-8": holds(b'{"\xff\xfe": "\xff"}'),
    "nested without end": holds(b"[" * 200_000),
    "a folder": a_folder,
    "a pipe": a_pipe,
    "a device": a_device,
    "a loop": a_loop,
}
BINARY_DAMAGES: dict[str, Damage] = {
    "removed": removed,
    "empty": holds(b""),
    "half of it": halved,
    "a flipped bit": flipped,
    "other bytes": holds(os.urandom(100)),
    "a folder": a_folder,
    "a pipe": a_pipe,
    "a device": a_device,
}
