"""Exported files beside each other on this machine: agreement, accuracy, latency, size; and what becomes of a file."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from common.embeddings import Embeddings, embed_with_norms
from common.errors import UserError
from common.models import read_graph
from common.vectors import unit_rows
from evaluate.protocols import VerificationResult
from evaluate.sets import FaceSet, open_set
from export.account import Account, account_in
from export.gate import LATENCIES, LIMITS, Limits, Loss, Measured, judged, key_of, write_measured
from export.losses import accuracy_loss, far_shown, tar_loss
from export.onnx import FAILED, NAMES, save
from export.parity import smooth_faces
from export.quantise import agreement
from export.session import Session

SECONDS = 1.5  # of timing a file at a batch and number of threads
FEWEST = 5


def measure_folder(
    folder: Path,
    sets: Mapping[str, Path],
    limits: Limits = LIMITS,
    say: Callable[[str], None] = lambda line: None,
) -> list[Measured]:
    """Measure every file of an export against its `model.onnx`, judge, rename what fails, and keep the rows.

    Raises UserError when there is no `model.onnx` of ours, or no pair set.
    """
    paths = _files(folder)
    graphs = {path: read_graph(path) for path in paths}
    accounts = {path: _account(graph, path) for path, graph in graphs.items()}
    opened = {name: _pairs(name, path) for name, path in sets.items()}
    if not opened:
        raise UserError("sets to measure on: --on NAME=PATH, or [evaluate.sets] of the experiment file")
    say(f"timing {len(paths)} files")
    times = latencies(list(graphs.values()), accounts[paths[0]].size)
    rows: list[Measured] = []
    base: dict[str, Embeddings] = {}
    for path, latency in zip(paths, times, strict=True):
        say(f"{path}: embedding {', '.join(opened)}")
        session = Session(graphs[path], 1)
        flip = not accounts[path].flip
        embedded = {name: embed_with_norms(session, faces.pictures, 32, flip) for name, faces in opened.items()}
        base = base or embedded
        rows.append(_row(path, accounts[path].precision, latency, opened, base, embedded))
    rows = [_as_written(judged(row, rows[0], limits)) for row in rows]
    for number, (path, row) in enumerate(zip(paths, rows, strict=True)):
        good = path.with_name(path.name.replace(FAILED, ""))
        rows[number] = row.model_copy(update={"file": save(graphs[path], good, row.passed).name})
    write_measured(folder, rows)
    return rows


def latencies(graphs: Sequence[onnx.ModelProto], size: tuple[int, int]) -> list[dict[str, float]]:
    """Milliseconds of a call by `key_of(batch, threads)`, of the fastest of many.

    Graphs take turns, so that what else the machine does meets all alike; the fastest call is what it disturbed least.
    """
    found: list[dict[str, float]] = [{} for _ in graphs]
    for batch, threads in LATENCIES:
        sessions = [Session(graph, threads) for graph in graphs]
        feeds = [session.feed(smooth_faces(batch, size)) for session in sessions]
        best = [np.inf] * len(graphs)
        for session, feed in zip(sessions, feeds, strict=True):
            session.run(feed)
        began, rounds = time.perf_counter(), 0
        while rounds < FEWEST or time.perf_counter() - began < SECONDS * len(graphs):
            rounds += 1
            for number, (session, feed) in enumerate(zip(sessions, feeds, strict=True)):
                started = time.perf_counter()
                session.run(feed)
                best[number] = min(best[number], 1e3 * (time.perf_counter() - started))
        for number, milliseconds in enumerate(best):
            found[number][key_of(batch, threads)] = round(milliseconds, 3)
    return found


def _as_written(row: Measured) -> Measured:
    """What failed as it was written (parity, or the search) is not made good by these gates."""
    if FAILED not in row.file or not row.passed:
        return row
    return row.model_copy(update={"passed": False, "reason": "failed when it was written: write it again"})


def _files(folder: Path) -> list[Path]:
    """model.onnx first, then the others as they are in `NAMES`, failed or not, then any other .onnx file."""
    first = folder / NAMES["float32"]
    if not first.exists():
        raise UserError(f"{first}: no such file: write it with `python -m export onnx`")
    return [first, *sorted(path for path in folder.glob("*.onnx") if path != first)]


def _account(graph: onnx.ModelProto, path: Path) -> Account:
    account = account_in(graph, path)
    if account is None:
        raise UserError(f"{path}: not written by `python -m export onnx`: export it with that")
    return account


def _pairs(name: str, path: Path) -> FaceSet:
    if not path.exists():
        raise UserError(f"{path}: set {name} is not there")
    if path.is_dir():
        raise UserError(f"{path}: an export is judged on pairs, a .bin file; this set is a folder")
    return open_set(path)


def _row(
    path: Path,
    precision: str,
    latency: dict[str, float],
    sets: Mapping[str, FaceSet],
    base: Mapping[str, Embeddings],
    embedded: Mapping[str, Embeddings],
) -> Measured:
    accuracy: dict[str, Loss] = {}
    fars: dict[str, float] = {}
    tar: dict[str, Loss] = {}
    for name, faces in sets.items():
        before, now = (faces.measure(rows[name], True) for rows in (base, embedded))
        assert isinstance(before, VerificationResult)
        assert isinstance(now, VerificationResult)
        accuracy[name] = accuracy_loss(before, now)
        far = far_shown(before)
        if far is not None:
            fars[name], tar[name] = far, tar_loss(before, now, far)
    both = [np.concatenate([unit_rows(rows[name].rows) for name in sets]) for rows in (embedded, base)]
    agrees = agreement(*both)
    return Measured(
        file=path.name,
        precision=precision,
        bytes=path.stat().st_size,
        cosine_mean=agrees.mean,
        cosine_q01=agrees.q01,
        accuracy=accuracy,
        far=fars,
        tar=tar,
        latency_ms=latency,
    )
