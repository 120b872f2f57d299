"""The ledger: which units of a cache are finished, with the size and SHA-256 of every file they wrote.

Zarr alone cannot tell a shard that was never written from one that holds fill values, nor notice a file that was
replaced by another whole one. Nothing counts as written unless the ledger says so. While a cache is being built every
unit has a small file of its own (ledger/view0-shard00003.json), so that ranks never share one; sealing gathers them
into the attributes of the Zarr group `ledger`. With every unit stands what it was computed with, see `cache.runtimes`.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cache.format.arrays import entry, layout_of, read_manifest, write_group
from cache.format.layout import Layout, Unit
from cache.format.schema import FileEntry, LedgerGroup, Record
from cache.format.shards import naming_a_full_disk
from common.documents import read_document, read_regular
from common.errors import CacheError
from common.files import sha256_of, sync, write_json

REMOVE_AND_BUILD = "remove it and run the build again"


def record_unit(
    path: Path, layout: Layout, unit: Unit, skipped: Mapping[int, str], runtimes: Sequence[Mapping[str, Any]]
) -> None:
    """Write a unit down as finished; its shards must be in place.

    skipped: sample -> why its picture is left out. runtimes: what its rows were computed with, each once.
    """
    files = layout.files_of(unit)
    for file in files:
        sync(path / file)
    finished = {
        "files": {file: entry(path / file) for file in files},
        "skipped": {str(sample): reason for sample, reason in skipped.items()},
        "runtimes": list(runtimes),
        "units": {unit.name: list(range(len(runtimes)))},
    }
    for folder in {folder for file in files for folder in (path / file).parents if folder.is_relative_to(path)}:
        sync(folder)
    with naming_a_full_disk(path / "ledger"):
        write_json(path / "ledger" / f"{unit.name}.json", finished)


def read_ledger(path: Path) -> dict[str, dict[str, Any]]:
    """All entries so far: relative file name -> {"bytes", "sha256"}."""
    return {name: {**entry} for part in _parts(path) for name, entry in part["files"].items()}


def read_skipped(path: Path) -> dict[int, str]:
    """Samples whose pictures were left out so far, ascending, and why."""
    found = {int(sample): reason for part in _parts(path) for sample, reason in part["skipped"].items()}
    return dict(sorted(found.items()))


def read_runtimes(path: Path) -> dict[str, list[dict[str, Any]]]:
    """What the rows of every unit so far were computed with, by the unit's name."""
    return {
        name: [part["runtimes"][place] for place in places]
        for part in _parts(path)
        for name, places in part["units"].items()
    }


def _parts(path: Path) -> Iterator[Record]:
    """What was gathered, then the file of every unit finished since."""
    finished = _unit_records(path, None)
    yield _gathered(path)
    yield from finished


def _unit_records(path: Path, names: set[str] | None) -> list[Record]:
    """The files of finished units (None: of all), read before what was gathered: sealing writes that, then drops them.

    The folder is listed first; a network disk then looks for what is new in it.
    """
    found = []
    for file in sorted((path / "ledger").glob("view*.json")):
        if names is None or file.stem in names:
            try:
                found.append(read_document(file, Record, CacheError, REMOVE_AND_BUILD))
            except CacheError:
                if file.exists():
                    raise
    return found


def _gathered(path: Path) -> Record:
    remedy = "take it from a copy of this cache, or remove the cache and build it again"
    return read_document(path / "ledger" / "zarr.json", LedgerGroup, CacheError, remedy)["attributes"]


def finished_units(path: Path, layout: Layout, among: Iterable[Unit] | None = None) -> set[Unit]:
    """The units (`among` some, else of all) whose entries are there and whose files have the sizes written down.

    Others may finish units, and seal, meanwhile.
    """
    units = list(layout.units() if among is None else among)
    records = _unit_records(path, {unit.name for unit in units})
    entries = {name: entry for part in (_gathered(path), *records) for name, entry in part["files"].items()}
    return {unit for unit in units if all(_present(path, entries, name) for name in layout.files_of(unit))}


def withdraw_false_entry(path: Path, layout: Layout, unit: Unit) -> None:
    """Take back what a writer wrote down of a unit when another had it: where files and entry differ, nobody's.

    So a writer that slept in the middle and woke up too late leaves a unit to be computed again, or nothing at all.
    """
    file = path / "ledger" / f"{unit.name}.json"
    if read_manifest(path)["sealed"] is not None:
        file.unlink(missing_ok=True)
        return
    entries = read_ledger(path)
    if any(name not in entries or check_file(path, name, entries[name]) for name in layout.files_of(unit)):
        file.unlink(missing_ok=True)


def gather_ledger(path: Path, entries: Mapping[str, Mapping[str, Any]], skipped: Mapping[int, str]) -> None:
    """Keep all entries in the ledger group's attributes and drop the unit files."""
    attributes = {
        "files": dict(sorted(entries.items())),
        "skipped": {str(sample): skipped[sample] for sample in sorted(skipped)},
        **_runtimes_of(path, entries),
    }
    write_group(path / "ledger", attributes)
    for file in (path / "ledger").glob("view*.json"):
        file.unlink()


def _runtimes_of(path: Path, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Each runtime once, and for every unit whose files are among the entries the places of its own."""
    layout = layout_of(read_manifest(path))
    known = read_runtimes(path)
    units = {
        unit.name: [_text(runtime) for runtime in known[unit.name]]
        for unit in layout.units()
        if unit.name in known and all(name in entries for name in layout.files_of(unit))
    }
    distinct = sorted({text for texts in units.values() for text in texts})
    place = {text: number for number, text in enumerate(distinct)}
    return {
        "runtimes": [json.loads(text) for text in distinct],
        "units": {name: sorted(place[text] for text in texts) for name, texts in units.items()},
    }


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def check_files(path: Path, entries: dict[str, dict[str, Any]], threads: int = 1) -> list[str]:
    """Re-hash every file of the ledger: one line per file that is missing or not as written."""
    with ThreadPoolExecutor(threads) as pool:
        faults = pool.map(lambda item: check_file(path, *item), sorted(entries.items()))
        return [fault for fault in faults if fault is not None]


def check_file(path: Path, name: str, wanted: dict[str, Any]) -> str | None:
    """What is wrong with one file of the ledger; None when it is as it was written."""
    file = path / name
    fault = wrong_size(path, name, wanted)
    if fault is not None:
        return fault
    try:
        if sha256_of(file) != wanted["sha256"]:
            return f"{file}: its bytes changed after it was written"
    except OSError as error:
        return f"{file}: cannot be read ({error.strerror})"
    return None


def wrong_size(path: Path, name: str, wanted: dict[str, Any]) -> str | None:
    """Whether a file of the ledger is missing or of another size, without reading it; None when it is neither."""
    file = path / name
    try:
        if not file.is_file():
            return f"{file}: missing"
        size = file.stat().st_size
    except OSError as error:
        return f"{file}: cannot be read ({error.strerror})"
    return None if size == wanted["bytes"] else f"{file}: {size} bytes, {wanted['bytes']} were written"


def ledger_digest(path: Path) -> str:
    """SHA-256 that binds a sealed manifest to its gathered ledger."""
    return hashlib.sha256(read_regular(path / "ledger" / "zarr.json", CacheError, "build the cache again")).hexdigest()


def _present(path: Path, entries: Mapping[str, FileEntry], name: str) -> bool:
    file = path / name
    return name in entries and file.is_file() and file.stat().st_size == entries[name]["bytes"]
