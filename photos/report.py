"""What became of a folder of photos, for people to judge: numbers, and sheets of the faces to look at.

python -m photos report data/mine-aligned reports/mine --photos photos/

report.md      faces a person, sizes, scores, rejects by reason
report.json    the same numbers
people.csv     faces of every person, fewest first
rejects.png    photos without a face, by reason (with --photos)
worst.png      the aligned faces of the lowest scores, and of the smallest boxes
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from common.contact_sheets import Cell, Section, contact_sheet, tail
from common.errors import DataError, UserError
from common.faces import ALIGNER, aligner_text, read_aligner, resized
from common.files import write_json
from common.text import csv_cell, printable
from common.writers import new_folder
from photos.faces_table import read_faces
from photos.picture import read_photo

SHOWN = 24  # faces a section of a sheet
_COLUMNS, _SIDE = 8, 112
_REASONS = 8  # sections of the rejects' sheet
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_BINS = ((1, 1), (2, 4), (5, 9), (10, 19), (20, 49), (50, 99), (100, None))


def write_report(aligned: Path, out: Path, photos: Path | None) -> str:
    """Write the report of an aligned folder into a new one. Returns a line.

    Raises DataError where nothing was aligned there, UserError where `photos` is no folder.
    """
    table = read_faces(aligned)
    if photos is not None and not photos.is_dir():
        raise UserError(f"{photos}: no such folder: give the one that was aligned")
    rows = table.to_pylist()
    numbers = figures(table)
    with new_folder(out, "a report") as making:
        write_json(making / "report.json", numbers)
        (making / "people.csv").write_text(_people_csv(rows), encoding="utf-8")
        (making / "report.md").write_text(_markdown(aligned, numbers, photos is not None), encoding="utf-8")
        contact_sheet(_worst(aligned, rows), making / "worst.png", _COLUMNS)
        if photos is not None:
            contact_sheet(_rejects(photos, rows), making / "rejects.png", _COLUMNS)
    counts = f"{numbers['aligned']:,} faces of {numbers['people']:,} people, {numbers['rejected']:,} rejects"
    return f"{out / 'report.md'}: {counts}"


def figures(table: pa.Table) -> dict[str, Any]:
    """The numbers of a table of faces (photos/faces_table.py), JSON-able. Sizes: a box's shorter side, in pixels."""
    rows = table.to_pylist()
    kept = [row for row in rows if row["status"] == "aligned"]
    of_person = Counter(row["person"] for row in kept if row["person"] is not None)
    counts = list(of_person.values())
    reasons = Counter((row["status"], row["reason"]) for row in rows if row["reason"])
    return {
        "photos": len({row["photo"] for row in rows}),
        "aligned": len(kept),
        "people": len(of_person),
        "rejected": sum(row["status"] == "rejected" for row in rows),
        "faces_a_person": {_range_text(low, high): _within(counts, low, high) for low, high in _BINS},
        "side": _quantiles(_side(row) for row in kept),
        "score": _quantiles(row["score"] for row in kept),
        "reasons": [
            {"status": status, "reason": reason, "count": count} for (status, reason), count in reasons.most_common()
        ],
    }


def _side(row: dict[str, Any]) -> float:
    x0, y0, x1, y1 = row["box"]
    return float(min(x1 - x0, y1 - y0))


def _quantiles(values: Iterable[float]) -> dict[str, float]:
    found = np.array(list(values), np.float64)
    return {f"{share:g}": float(np.quantile(found, share)) for share in _QUANTILES} if len(found) else {}


def _range_text(low: int, high: int | None) -> str:
    return f"{low} or more" if high is None else f"{low}" if low == high else f"{low} to {high}"


def _within(counts: Sequence[int], low: int, high: int | None) -> int:
    return sum(low <= count and (high is None or count <= high) for count in counts)


def _people_csv(rows: Sequence[dict[str, Any]]) -> str:
    seen = Counter(row["person"] for row in rows if row["person"] is not None)
    aligned = Counter(row["person"] for row in rows if row["status"] == "aligned")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["person", "faces", "rows"])
    for person in sorted(seen, key=lambda name: (aligned[name], name)):
        writer.writerow([csv_cell(person), aligned[person], seen[person]])
    return text.getvalue()


def _markdown(aligned: Path, numbers: dict[str, Any], with_rejects: bool) -> str:
    aligner = read_aligner(aligned)
    lines = [
        f"# {printable(aligned)}",
        "",
        f"{numbers['aligned']:,} faces aligned of {numbers['photos']:,} photos, {numbers['people']:,} people.",
        f"Aligned: {aligner_text(aligner) if aligner else f'nobody says how: no {ALIGNER}'}.",
        "",
        "| faces a person | people |",
        "|---|---|",
        *(f"| {text} | {count:,} |" for text, count in numbers["faces_a_person"].items()),
        "",
        f"| quantile | {' | '.join(numbers['side'])} |",
        f"|---|{'---|' * len(numbers['side'])}",
        f"| face, shorter side in pixels | {' | '.join(f'{value:.0f}' for value in numbers['side'].values())} |",
        f"| score | {' | '.join(f'{value:.3f}' for value in numbers['score'].values())} |",
        "",
        "| count | status | reason |",
        "|---|---|---|",
        *(
            f"| {entry['count']:,} | {entry['status']} | {printable(entry['reason']).replace('|', '/')} |"
            for entry in numbers["reasons"]
        ),
        "",
        "![the worst faces](worst.png)",
        *(["", "![photos without a face](rejects.png)"] if with_rejects else []),
    ]
    return "\n".join(lines) + "\n"


def _worst(aligned: Path, rows: Sequence[dict[str, Any]]) -> list[Section]:
    kept = [row for row in rows if row["aligned"] is not None]

    def section(heading: str, key: Any, text: str) -> Section:
        chosen = sorted(kept, key=lambda row: (key(row), row["photo"]))[:SHOWN]
        return Section(
            heading,
            [[Cell(_shown(aligned / row["aligned"]), f"{tail(row['photo'])}\n{key(row):{text}}")] for row in chosen],
        )

    return [
        section("lowest scores", lambda row: row["score"], ".3f"),
        section("smallest faces, shorter side in pixels", _side, ".0f"),
    ]


def _rejects(photos: Path, rows: Sequence[dict[str, Any]]) -> list[Section]:
    """A section a reason, the most frequent first; what does not decode has an empty place."""
    by_reason: dict[str, list[str]] = {}
    told: dict[str, set[str]] = {}
    for row in rows:
        if row["status"] == "rejected":
            kind = re.sub(r"\d[\d,]*", "N", row["reason"])  # like ones are one, whatever their numbers
            by_reason.setdefault(kind, []).append(row["photo"])
            told.setdefault(kind, set()).add(row["reason"])
    if not by_reason:
        return [Section("photos without a face", [])]
    frequent = sorted(by_reason, key=lambda kind: (-len(by_reason[kind]), kind))
    ordered = [((told[kind].pop() if len(told[kind]) == 1 else kind)[:70], by_reason[kind]) for kind in frequent]
    if len(ordered) > _REASONS:
        rest = [name for _, names in ordered[_REASONS - 1 :] for name in names]
        ordered[_REASONS - 1 :] = [("other reasons, all in report.md", rest)]
    return [
        Section(f"{len(names):,} x {reason}", [[Cell(_shown(photos / name), tail(name))] for name in _spread(names)])
        for reason, names in ordered
    ]


def _spread(names: Sequence[str]) -> list[str]:
    return [names[place * len(names) // min(len(names), SHOWN)] for place in range(min(len(names), SHOWN))]


def _shown(path: Path) -> np.ndarray | None:
    """A small picture with its proportions, on white; None for what does not decode."""
    try:
        rgb = read_photo(path)
    except DataError:
        return None
    longest = max(rgb.shape[:2])
    height, width = (max(1, round(side * _SIDE / longest)) for side in rgb.shape[:2])
    canvas = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
    canvas[:height, :width] = resized(rgb, (height, width))
    return canvas
