"""Whether an export may be called good: its numbers beside float32's, limits, and what is said where one is passed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from common.documents import read_document
from common.errors import DataError
from common.files import write_json

MEASURED = "measured.json"
LATENCIES = tuple((batch, threads) for batch in (1, 32) for threads in (1, 2))
"""Batches and threads at which files are timed."""


@dataclass(frozen=True)
class Limits:
    """Of an export against float32: cosines of its embeddings, and the most it may lose, in fractions."""

    cosine_mean: float = 0.995
    cosine_q01: float = 0.98
    accuracy: float = 0.003
    tar: float = 0.01


LIMITS = Limits()


class Loss(BaseModel):
    """A rate, what it lost against float32 (below 0: gained), and the paired 95 % interval of the loss."""

    rate: float
    loss: float
    low: float
    high: float


class Measured(BaseModel):
    """An exported file: `accuracy` and `tar` by set, `latency_ms` by `BATCHxTHREADS`, of the fastest run.

    `tar` is at FAR `far`, the strictest of 1e-3 and 1e-2 that the set's impostors can show; None where they show none.
    """

    file: str
    precision: str
    bytes: int
    cosine_mean: float
    cosine_q01: float
    accuracy: dict[str, Loss]
    far: dict[str, float]
    tar: dict[str, Loss]
    latency_ms: dict[str, float]
    passed: bool = True
    reason: str = ""


def judged(row: Measured, base: Measured, limits: Limits = LIMITS) -> Measured:
    """The row with its verdict: what passes a limit fails; being slower or no smaller than float32 is only said."""
    failures = [
        f"{name} {value:.4f} is below {least:g}"
        for name, value, least in (
            ("mean cosine", row.cosine_mean, limits.cosine_mean),
            ("1 % quantile of cosines", row.cosine_q01, limits.cosine_q01),
        )
        if not value >= least
    ]
    for name, losses, most in (("accuracy", row.accuracy, limits.accuracy), ("TAR", row.tar, limits.tar)):
        failures += [
            f"{name} on {on} loses {100 * loss.loss:.2f} points, more than {100 * most:g}"
            for on, loss in losses.items()
            if not loss.loss <= most + 1e-9
        ]
    notes = [
        f"slower than float32 at {_at(key)}: {row.latency_ms[key]:.1f} ms, not {base.latency_ms[key]:.1f}"
        for key in row.latency_ms
        if row.latency_ms[key] > base.latency_ms[key]
    ]
    if row.bytes >= base.bytes and row.file != base.file:
        notes.append("no smaller than float32")
    return row.model_copy(update={"passed": not failures, "reason": "; ".join([*failures, *notes])})


def key_of(batch: int, threads: int) -> str:
    """Key of `latency_ms`."""
    return f"{batch}x{threads}"


def _at(key: str) -> str:
    batch, threads = key.split("x")
    return f"batch {batch}, {threads} thread{'s' if threads != '1' else ''}"


class _Document(BaseModel):
    rows: list[Measured]


def write_measured(folder: Path, rows: Sequence[Measured]) -> None:
    """Keep the rows beside the files."""
    write_json(folder / MEASURED, {"rows": [row.model_dump() for row in rows]})


def read_measured(folder: Path) -> list[Measured]:
    """The rows `write_measured` kept; raises DataError where there are none."""
    return read_document(folder / MEASURED, _Document, DataError, "measure it: python -m export measure").rows


def table(rows: Sequence[Measured]) -> list[str]:
    """The rows as lines for people; in brackets how many times faster than the first, at BATCHxTHREADS."""
    base = rows[0]
    heads = ["file", "of size", "cosine", "1 %", *(f"accuracy {name}" for name in base.accuracy)]
    heads += [f"TAR@{base.far[name]:g} {name}" for name in base.tar]
    heads += [f"ms {key}" for key in base.latency_ms]
    cells = [heads]
    for row in rows:
        line = [row.file, f"{row.bytes / base.bytes:.2f}", f"{row.cosine_mean:.4f}", f"{row.cosine_q01:.4f}"]
        line += [_loss_text(loss, row is base) for loss in (*row.accuracy.values(), *row.tar.values())]
        line += [f"{value:.2f} ({base.latency_ms[key] / value:.1f}x)" for key, value in row.latency_ms.items()]
        cells.append(line)
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    lines += [f"{row.file}: {'' if row.passed else 'FAILED: '}{row.reason}" for row in rows if row.reason]
    return lines


def _loss_text(loss: Loss, base: bool) -> str:
    if base:
        return f"{100 * loss.rate:.2f}"
    gain, low, high = (round(-100 * value, 2) + 0.0 for value in (loss.loss, loss.high, loss.low))  # + 0.0: no -0.00
    return f"{100 * loss.rate:.2f} ({gain:+.2f}, {low:+.2f} to {high:+.2f})"
