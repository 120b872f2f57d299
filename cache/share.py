"""Give a sealed cache to others, and take one from them without trusting it.

What travels: the files of the ledger, the `zarr.json` of both groups and of every array, and a card. A pulled cache
appears under its name when every file is what the ledger says and the ledger is the one that was sealed; until then it
lies in `.NAME.pulling` beside it, where a pull that was interrupted goes on.
"""

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cache import ledger
from cache.card import CARD, dataset_card, teacher_licence
from cache.layout import Layout
from cache.reader import TeacherCache
from cache.remote import MANIFEST_FILE, Remote
from cache.sealed import broken_seals
from cache.store import layout_of, read_manifest
from cache.verify import check_store
from common.errors import CacheError
from common.files import sync
from common.subset import SELECTION

LEDGER_FILE = "ledger/zarr.json"
# At the top a card would make Zarr clients warn of a thing that is no array.
KEPT_CARD = f"ledger/{CARD}"
_CODECS = {"sharding_indexed", "bytes", "crc32c"}
_AT_ONCE = 8


def push(path: Path, remote: Remote, faces_licence: str, given_teacher_licence: str | None = None) -> int:
    """Send a sealed cache and its card; how many files went or were there. Pushing again goes on.

    Raises CacheError when the cache is not sealed or not as it was written, another one is at the remote, the teacher's
    licence is neither known nor given, or the remote cannot be written.
    """
    cache = TeacherCache(path)
    licence = teacher_licence(cache.manifest, given_teacher_licence)
    faults = check_store(path)
    if faults:
        raise CacheError(f"{faults[0]} ({len(faults)} fault(s)): mend it with `python -m cache repair`, then push")
    layout = layout_of(cache.manifest)
    card = dataset_card(cache.manifest, layout, remote.url, licence, faces_licence)
    begun = _same_there(path, remote, LEDGER_FILE)
    _same_there(path, remote, MANIFEST_FILE)
    names = [LEDGER_FILE, *sorted(ledger.read(path)), *_array_files(layout)]
    # The ledger first, so that the next push knows whose files these are; last the manifest, which makes it a cache.
    files: dict[str, Path | bytes] = {name: path / name for name in names}
    files |= {CARD: card.encode(), MANIFEST_FILE: path / MANIFEST_FILE}
    remote.send(files, resume=begun)
    return len(files)


def _same_there(path: Path, remote: Remote, name: str) -> bool:
    """Whether the remote has this very file; raises CacheError where it has another one of that name."""
    there = path.with_name(f".{path.name}.{os.getpid()}.there")
    try:
        remote.fetch(name, there / name)
        if (there / name).read_bytes() != (path / name).read_bytes():
            raise CacheError(f"{remote.url}: another cache is there ({name} differs from {path}): choose another URL")
    except FileNotFoundError:
        return False
    finally:
        shutil.rmtree(there, ignore_errors=True)
    return True


def pull(remote: Remote, out: Path) -> Path:
    """Fetch a cache, verify all of it, and give it its name; returns `out`.

    Files that are there with the right size and digest are not fetched again. Raises CacheError for a cache that is
    not sealed, a ledger that is not the sealed one, a file name or codec that has no place in a cache, and a file that
    is missing or not as the ledger has it.
    """
    if out.exists():
        raise CacheError(f"{out}: exists: choose another --out or remove it")
    making = out.with_name(f".{out.name}.pulling")
    making.mkdir(parents=True, exist_ok=True)
    layout, entries = _fetch_ledger(remote, making)
    for name in _array_files(layout):
        _fetch(remote, making, name)
        _refuse_codecs(making / name)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for fetched in [pool.submit(_fetch_entry, remote, making, *item) for item in sorted(entries.items())]:
            fetched.result()
    _fetch_card(remote, making)
    _drop_strangers(making, {MANIFEST_FILE, LEDGER_FILE, KEPT_CARD, *_array_files(layout), *entries})
    faults = check_store(making)
    if faults:
        raise CacheError(f"{remote.url}: {faults[0]} ({len(faults)} fault(s)): not taken")
    TeacherCache(making)
    os.rename(making, out)
    sync(out.parent)
    return out


def _fetch_ledger(remote: Remote, making: Path) -> tuple[Layout, dict[str, dict[str, Any]]]:
    """Layout and ledger of a sealed cache, whose file names are harmless."""
    _fetch(remote, making, MANIFEST_FILE)
    _fetch(remote, making, LEDGER_FILE)
    try:
        manifest = read_manifest(making)
        sealed, layout = manifest["sealed"], layout_of(manifest)
        if not sealed:
            raise CacheError(f"{remote.url}: that cache is not sealed: have its build finished, then pushed again")
        for broken in broken_seals(making, manifest):
            raise CacheError(f"{remote.url}: {broken}: have it pushed again")
        entries = ledger.read(making)
        # Lazily, for a hostile layout may ask for any number of files: the first that is not listed ends it.
        lacking = next((name for name in _shard_files(layout) if name not in entries), None)
        strange = sorted(entries.keys() - {SELECTION, *_shard_files(layout)}) if lacking is None else []
        sizes = [(entry["bytes"], entry["sha256"]) for entry in entries.values()]
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        if isinstance(error, CacheError):
            raise
        raise CacheError(f"{remote.url}: its manifest or ledger is damaged ({error!r}): have it pushed again") from None
    if lacking or strange or len(sizes) != sealed["files"]:
        what = f"not {lacking}" if lacking else f"{len(sizes)} files where {sealed['files']} were sealed"
        what = f"a file named {strange[0]!r}" if strange else what
        raise CacheError(f"{remote.url}: its ledger lists {what}: this was not written by `python -m cache push`")
    return layout, entries


def _fetch_entry(remote: Remote, making: Path, name: str, entry: dict[str, Any]) -> None:
    if ledger.check_file(making, name, entry) is None:
        return
    _fetch(remote, making, name)
    fault = ledger.check_file(making, name, entry)
    if fault is not None:
        (making / name).unlink()
        raise CacheError(f"{remote.url}/{name}: not as the ledger has it ({fault}): have it pushed again")


def _fetch(remote: Remote, making: Path, name: str) -> None:
    try:
        remote.fetch(name, making / name)
    except FileNotFoundError:
        raise CacheError(
            f"{remote.url}/{name}: not there: no cache, or its push has not finished: have it pushed again"
        ) from None


def _fetch_card(remote: Remote, making: Path) -> None:
    try:
        remote.fetch(CARD, making / CARD)
    except FileNotFoundError:
        return
    os.replace(making / CARD, making / KEPT_CARD)


def _drop_strangers(making: Path, wanted: set[str]) -> None:
    """Remove the Hub client's notes, halves of files, and what an earlier pull from elsewhere left."""
    for file in [file for file in making.rglob("*") if not file.is_dir()]:
        if file.relative_to(making).as_posix() not in wanted:
            file.unlink()
    for folder in sorted((folder for folder in making.rglob("*") if folder.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _shard_files(layout: Layout) -> Iterator[str]:
    """Every shard file of a finished cache."""
    for array in layout.arrays.values():
        for view in range(array.views or 1):
            for shard in range(-(-array.rows // layout.shard_rows)):
                yield array.file(view, shard)


def _array_files(layout: Layout) -> list[str]:
    return [f"{name}/zarr.json" for name in layout.arrays]


def _refuse_codecs(file: Path) -> None:
    """Zarr runs what the metadata names, and there are codecs that unpickle: none but a cache's own."""
    try:
        names = set(_names_of(json.loads(file.read_text(encoding="utf-8"))["codecs"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CacheError(f"{file}: not the metadata of an array ({error!r}): have it pushed again") from None
    if not names <= _CODECS:
        raise CacheError(f"{file}: codecs {sorted(names - _CODECS)} have no place in a cache: not taken")


def _names_of(codecs: Any) -> Iterator[str]:
    """Names of codecs, and of those in their configurations."""
    for codec in codecs:
        yield codec if isinstance(codec, str) else codec["name"]
        for inner in (codec.get("configuration") or {}).values() if isinstance(codec, dict) else ():
            if isinstance(inner, list) and inner and isinstance(inner[0], dict):
                yield from _names_of(inner)
