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
    files = [_shard_file(name, unit) for name in UNIT_ARRAYS]
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
    return {unit for unit in units if all(_present(path, entries, _shard_file(n, unit)) for n in UNIT_ARRAYS)}


def gather(path: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Keep all entries in the ledger group's attributes and drop the unit files."""
    zarr.open_group(path / "ledger", mode="r+").attrs["files"] = dict(sorted(entries.items()))
    for file in (path / "ledger").glob("view*.json"):
        file.unlink()


def check_files(path: Path, entries: dict[str, dict[str, Any]]) -> list[str]:
    """Re-hash every file of the ledger: one line per file that is missing or not as written."""
    faults = []
    for name, wanted in sorted(entries.items()):
        file = path / name
        if not file.exists():
            faults.append(f"{file}: missing")
        elif file.stat().st_size != wanted["bytes"]:
            faults.append(f"{file}: {file.stat().st_size} bytes, {wanted['bytes']} were written")
        elif sha256_of(file) != wanted["sha256"]:
            faults.append(f"{file}: its bytes changed after it was written")
    return faults


def _present(path: Path, entries: dict[str, dict[str, Any]], name: str) -> bool:
    file = path / name
    return name in entries and file.exists() and file.stat().st_size == entries[name]["bytes"]


def _shard_file(array: str, unit: Unit) -> str:
    """Zarr's default chunk key of a unit's shard."""
    tail = "/0" if array == "embedding" else ""
    return f"{array}/c/{unit.view}/{unit.shard}{tail}"
