"""Give a sealed cache to others, and take one from them without trusting it.

What travels: the files of the ledger, the `zarr.json` of both groups and of every array, and a card. A pulled cache
appears under its name when every file is what the ledger says and the ledger is the one that was sealed; until then it
lies in `.NAME.pulling` beside it, where a pull that was interrupted goes on.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cache.format import Layout, broken_seals, check_file, layout_of, read_ledger, read_manifest, wrong_metadata
from cache.reader import TeacherCache
from cache.share.card import CARD, dataset_card, teacher_licence
from cache.share.remote import MANIFEST_FILE, Remote
from cache.verify import check_store
from common.documents import LARGEST, read_regular
from common.errors import CacheError
from common.faces import SELECTION
from common.files import make_folder, sync, sync_tree
from common.writers import at_work

LEDGER_FILE = "ledger/zarr.json"
# At the top a card would make Zarr clients warn of a thing that is no array.
KEPT_CARD = f"ledger/{CARD}"
# Says that a folder is a pull's own, to go on in and to clear.
_BEGUN = ".pulling"
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
    _refuse_another(path, remote)
    names = [LEDGER_FILE, *sorted(read_ledger(path)), *_array_files(layout)]
    # The ledger first, so that the next push knows whose files these are; last the manifest, which makes it a cache.
    files: dict[str, Path | bytes] = {name: path / name for name in names}
    files |= {CARD: card.encode(), MANIFEST_FILE: path / MANIFEST_FILE}
    remote.send(files)
    return len(files)


def _refuse_another(path: Path, remote: Remote) -> None:
    """Raises CacheError where another cache is, or what was sent of one: its manifest or its ledger.

    What a push left half-written is nobody's. Under our own manifest a file that differs is damage.
    """
    for name in (MANIFEST_FILE, LEDGER_FILE):
        there = _read(remote, name)
        if there == (path / name).read_bytes():
            return
        if there is not None and _is_whole(there):
            raise CacheError(f"{remote.url}: another cache is there ({name} differs from {path}): choose another URL")


def _read(remote: Remote, name: str) -> bytes | None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            _fetch_sized(remote, name, Path(folder, name))
        except FileNotFoundError:
            return None
        return read_regular(Path(folder, name), CacheError)


def _is_whole(document: bytes) -> bool:
    try:
        json.loads(document)
    except (ValueError, RecursionError):
        return False
    return True


def pull(remote: Remote, out: Path) -> Path:
    """Fetch a cache, verify all of it, and give it its name; returns `out`.

    Files that are there with the right size and digest are not fetched again. Raises CacheError for a cache that is
    not sealed, a ledger that is not the sealed one, a file name or metadata that have no place in a cache, and a file
    that is missing or not as the ledger has it.
    """
    with at_work(out, "a pull"):
        if os.path.lexists(out):
            raise CacheError(f"{out}: exists: choose another --out or remove it")
        making = out.with_name(f".{out.name}.pulling")
        _begin(making)
        layout, entries = _fetch_ledger(remote, making)
        for name in _array_files(layout):
            _fetch(remote, making, name)
        for wrong in wrong_metadata(making, layout):
            raise CacheError(f"{_said_of(remote, making, wrong)}: not taken")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for fetched in [pool.submit(_fetch_entry, remote, making, *item) for item in sorted(entries.items())]:
                fetched.result()
        _fetch_card(remote, making)
        _drop_strangers(making, {_BEGUN, MANIFEST_FILE, LEDGER_FILE, KEPT_CARD, *_array_files(layout), *entries})
        TeacherCache(making)  # what a reader asks of a cache, this one fulfils
        sync_tree(making)
        os.rename(making, out)
        (out / _BEGUN).unlink()
        sync(out)
        sync(out.parent)
    return out


def _begin(making: Path) -> None:
    """Make the folder of a pull, or go on in the one that a pull was cut off in, and follow no link there.

    Raises CacheError for a folder that no pull has made.
    """
    make_folder(making.parent)
    try:
        making.mkdir()
    except FileExistsError:
        own = not making.is_symlink() and making.is_dir() and making.stat().st_uid == os.geteuid()
        if not own or not ((making / _BEGUN).exists() or not any(making.iterdir())):
            raise CacheError(f"{making}: no pull has made this: move it away, and pull again") from None
    for parent, folders, files in os.walk(making):
        for entry in (Path(parent, name) for name in (*folders, *files)):
            if entry.is_symlink() or not (entry.is_dir() or entry.is_file()):
                entry.unlink()
    (making / _BEGUN).touch()


def _said_of(remote: Remote, making: Path, fault: object) -> str:
    """What is wrong with a fetched file, as of the place it came from."""
    return str(fault).replace(f"{making}", remote.url)


def _fetch_ledger(remote: Remote, making: Path) -> tuple[Layout, dict[str, dict[str, Any]]]:
    """Layout and ledger of a sealed cache, whose file names are harmless."""
    _fetch(remote, making, MANIFEST_FILE)
    _fetch(remote, making, LEDGER_FILE)
    try:
        manifest = read_manifest(making)
        entries = read_ledger(making)
    except CacheError as error:
        raise CacheError(f"{_said_of(remote, making, error)}, or have it pushed again") from None
    sealed, layout = manifest["sealed"], layout_of(manifest)
    if not sealed:
        raise CacheError(f"{remote.url}: that cache is not sealed: have its build finished, then pushed again")
    for broken in broken_seals(making, manifest):
        raise CacheError(f"{_said_of(remote, making, broken)}: have it pushed again")
    # Lazily, for a hostile layout may ask for any number of files: the first that is not listed ends it.
    lacking = next((name for name in _shard_files(layout) if name not in entries), None)
    strange = sorted(entries.keys() - {SELECTION, *_shard_files(layout)}) if lacking is None else []
    if lacking or strange or len(entries) != sealed["files"]:
        what = f"not {lacking}" if lacking else f"{len(entries)} files where {sealed['files']} were sealed"
        what = f"a file named {strange[0]!r}" if strange else what
        raise CacheError(f"{remote.url}: its ledger lists {what}: this was not written by `python -m cache push`")
    return layout, entries


def _fetch_entry(remote: Remote, making: Path, name: str, entry: dict[str, Any]) -> None:
    if check_file(making, name, entry) is None:
        return
    _fetch(remote, making, name, entry["bytes"])
    fault = check_file(making, name, entry)
    if fault is not None:
        (making / name).unlink()
        raise CacheError(f"{remote.url}/{name}: not as the ledger has it ({fault}): have it pushed again")


def _fetch(remote: Remote, making: Path, name: str, wanted: int | None = None) -> None:
    """Fetch a file of `wanted` bytes, or a document of any sensible size. Raises CacheError where it is not there."""
    try:
        _fetch_sized(remote, name, making / name, wanted)
    except FileNotFoundError:
        raise CacheError(
            f"{remote.url}/{name}: not there: no cache, or its push has not finished: have it pushed again"
        ) from None


def _fetch_sized(remote: Remote, name: str, to: Path, wanted: int | None = None) -> None:
    """Fetch a file, but nothing of one with another size than is wanted, or that no document can have."""
    size = remote.size(name)
    if size is not None and wanted is not None and size != wanted:
        fault = f"{size} bytes, {wanted} were written"
        raise CacheError(f"{remote.url}/{name}: not as the ledger has it ({fault}): have it pushed again")
    if size is not None and wanted is None and size > LARGEST:
        raise CacheError(f"{remote.url}/{name}: {size:,} bytes, more than such a file can have: not taken")
    remote.fetch(name, to)


def _fetch_card(remote: Remote, making: Path) -> None:
    try:
        _fetch_sized(remote, CARD, making / CARD)
    except FileNotFoundError:
        return
    os.replace(making / CARD, making / KEPT_CARD)


def _drop_strangers(making: Path, wanted: set[str]) -> None:
    """Remove the Hub client's notes, halves of files, and what an earlier pull from elsewhere left."""
    for parent, _, files in os.walk(making, topdown=False):
        for file in (Path(parent, name) for name in files):
            if file.relative_to(making).as_posix() not in wanted:
                file.unlink()
        if not os.listdir(parent):
            os.rmdir(parent)


def _shard_files(layout: Layout) -> Iterator[str]:
    """Every shard file of a finished cache."""
    for array in layout.arrays.values():
        for view in range(array.views or 1):
            for shard in range(-(-array.rows // layout.shard_rows)):
                yield array.file(view, shard)


def _array_files(layout: Layout) -> list[str]:
    return [f"{name}/zarr.json" for name in layout.arrays]
