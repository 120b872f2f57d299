"""The ledger: which units of a cache are finished, with the size and SHA-256 of every file they wrote.

Zarr alone cannot tell a shard that was never written from one that holds fill values, nor notice a file that was
replaced by another whole one. Nothing counts as written unless the ledger says so. While a cache is being built every
unit has a small file of its own (ledger/view0-shard00003.json), so that ranks never share one; sealing gathers them
into the attributes of the Zarr group `ledger`.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import zarr

from cache.store import Unit
from common.errors import CacheError
from common.files import sha256_of, sync, write_json

UNIT_ARRAYS = ("embedding", "norm", "pixels")


def record(path: Path, unit: Unit) -> None:
    """Write a unit down as finished; its shards must be in place."""
    files = files_of(unit)
    for file in files:
        sync(path / file)
    write_json(path / "ledger" / f"{unit.name}.json", {file: entry(path / file) for file in files})


def entry(file: Path) -> dict[str, Any]:
    """What the ledger keeps of one file."""
    return {"bytes": file.stat().st_size, "sha256": sha256_of(file)}


def read(path: Path) -> dict[str, dict[str, Any]]:
    """All entries so far: relative file name -> {"bytes", "sha256"}."""
    gathered = json.loads((path / "ledger" / "zarr.json").read_text(encoding="utf-8"))["attributes"].get("files", {})
    entries = dict(gathered)
    for file in sorted((path / "ledger").glob("view*.json")):
        try:
            entries.update(json.loads(file.read_text(encoding="utf-8")))
        except ValueError:
            raise CacheError(f"{file}: damaged ledger entry: remove it and run the build again") from None
    return entries


def finished(path: Path, units: Iterable[Unit]) -> set[Unit]:
    """The units whose entries are there and whose files have the sizes written down."""
    entries = read(path)
    return {unit for unit in units if all(_present(path, entries, name) for name in files_of(unit))}


def gather(path: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Keep all entries in the ledger group's attributes and drop the unit files."""
    zarr.open_group(path / "ledger", mode="r+").attrs["files"] = dict(sorted(entries.items()))
    for file in (path / "ledger").glob("view*.json"):
        file.unlink()


def check_files(path: Path, entries: dict[str, dict[str, Any]]) -> list[str]:
    """Re-hash every file of the ledger: one line per file that is missing or not as written."""
    faults = (check_file(path, name, entry) for name, entry in sorted(entries.items()))
    return [fault for fault in faults if fault is not None]


def check_file(path: Path, name: str, wanted: dict[str, Any]) -> str | None:
    """What is wrong with one file of the ledger; None when it is as it was written."""
    file = path / name
    if not file.exists():
        return f"{file}: missing"
    if file.stat().st_size != wanted["bytes"]:
        return f"{file}: {file.stat().st_size} bytes, {wanted['bytes']} were written"
    if sha256_of(file) != wanted["sha256"]:
        return f"{file}: its bytes changed after it was written"
    return None


def digest(path: Path) -> str:
    """SHA-256 that binds a sealed manifest to its gathered ledger."""
    return sha256_of(path / "ledger" / "zarr.json")


def files_of(unit: Unit) -> list[str]:
    """The shard files a unit writes, relative to the cache."""
    return [_shard_file(name, unit) for name in UNIT_ARRAYS]


def _present(path: Path, entries: dict[str, dict[str, Any]], name: str) -> bool:
    file = path / name
    return name in entries and file.exists() and file.stat().st_size == entries[name]["bytes"]


def _shard_file(array: str, unit: Unit) -> str:
    """Zarr's default chunk key of a unit's shard."""
    tail = "/0" if array == "embedding" else ""
    return f"{array}/c/{unit.view}/{unit.shard}{tail}"
