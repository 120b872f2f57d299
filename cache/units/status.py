"""A build while it is at work, as people ask for it: what is finished, who has what, how fast, how long yet."""

import time
from pathlib import Path

from cache.format import Unit, finished_units, layout_of, read_manifest
from common.writers import Worker, claimed_parts, workers_of


def describe_work(path: Path) -> str:
    """Several lines about a cache, read and not written: any machine that sees its disk may ask."""
    manifest = read_manifest(path)
    layout = layout_of(manifest)
    every = list(layout.units())
    if manifest["sealed"] is not None:
        return f"{path}: all {len(every):,} units finished, sealed"
    finished, workers, owners = finished_units(path, layout), workers_of(path), claimed_parts(path)
    rows, all_rows = _rows(finished), _rows(every)
    lines = [f"{path}: {len(finished):,} of {len(every):,} units finished, {rows:,} of {all_rows:,} rows"]
    for name, worker in workers.items():
        units = [unit.name for unit in every if owners.get(unit.name) == name and unit not in finished]
        units += ["the seal"] if owners.get("seal") == name else []
        lines.append(f"  {worker} has {', '.join(units) or 'nothing'}: {_pace(worker):,.0f} faces/s, {_seen(worker)}")
    pace = sum(_pace(worker) for worker in workers.values())
    if pace:
        lines.append(f"  {pace:,.0f} faces/s together, {(all_rows - rows) / pace / 3600:,.2f} hours left")
    if not workers:
        lines.append("  nobody is at work on it: `make cache-teacher` goes on")
    return "\n".join(lines)


def _rows(units: set[Unit] | list[Unit]) -> int:
    return sum(unit.stop - unit.start for unit in units)


def _pace(worker: Worker) -> float:
    """Rows a second of a process since it began, by its own clock."""
    return worker.done / max(worker.seen - worker.since, 1e-9)


def _seen(worker: Worker) -> str:
    return f"last seen {max(0.0, time.time() - worker.seen):,.0f} s ago"
