"""What an ablation would do: every run and what it changes, caches, steps, hours, disk. Nothing is written."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from ablate.caches import caches_of, needed_caches, state_text
from ablate.machine import Machine
from ablate.pace import calibrated, pace_key, steps_of
from ablate.points import PlannedRun, changes_text, expand, read_ablation
from ablate.records import complete, failure_of, failure_text, finished, read_summary
from common.config import Config
from common.errors import UserError
from common.plan import Plan, duration_text, free_bytes, size_text
from common.runtime import set_threads

MOST_CALIBRATIONS = 4


def plan_ablation(
    path: str | Path, root: Path, overrides: Iterable[str], machine: Machine, build: bool = False
) -> Plan:
    """The plan of an ablation on this machine. build: missing caches would be built.

    Raises ConfigError for a file that makes no runs.
    """
    ablation = read_ablation(path, overrides)
    expansion = expand(ablation, machine.ranks)
    runs = expansion.runs
    plan = Plan(f"ablation {ablation.name}: {len(expansion.points)} points, {len(runs)} runs in runs/")
    if ablation.hypothesis:
        plan.add("hypothesis", ablation.hypothesis)
    plan.add("baseline", expansion.baseline)
    for run in runs:
        state = _state(run, root)
        plan.add(run.label, f"{changes_text(run.changes)}  ({state}; {run.config.run_dir.name})")
    for note in expansion.notes:
        plan.add("note", note)
    _plan_caches(plan, runs, build)
    _plan_sets(plan, runs, root)
    _plan_time(plan, runs, root, machine)
    return plan


def _state(run: PlannedRun, root: Path) -> str:
    if complete(run.config, root):
        return "done"
    if finished(run.config):
        return "trained, to be evaluated"
    if failure := failure_of(run.config.run_dir):
        return f"failed: {failure_text(failure)}"
    return "begun" if any((run.config.run_dir / "checkpoints").glob("*")) else "to do"


def _plan_caches(plan: Plan, runs: Sequence[PlannedRun], build: bool) -> None:
    for need in needed_caches(runs):
        state = state_text(need)
        how = "built" if need.cut is None else f"cut out of {need.cut.parent}"
        will_be = f", to be {how} first" if build and need.can_be_made and state != "sealed" else ""
        use = f"read by {len(need.runs)} runs" if need.runs else "only cut from"
        plan.add("cache", f"{need.path}: {state}{will_be}, {use}")
        if state != "sealed" and not will_be:
            plan.missing.append(f"{need.path}: cache {state}: {need.remedy()}")


def _plan_sets(plan: Plan, runs: Sequence[PlannedRun], root: Path) -> None:
    sets = {root / path: name for run in runs for name, path in run.config.evaluate.sets.items()}
    for path, name in sets.items():
        plan.add("set", f"{name}: {path}{'' if path.exists() else ', not there: runs are not measured on it'}")


def _plan_time(plan: Plan, runs: Sequence[PlannedRun], root: Path, machine: Machine) -> None:
    """Steps, hours and disk of what is still to train, as far as faces and caches are there."""
    open_ones = [run for run in runs if not finished(run.config)]
    if not open_ones:
        return plan.add("to train", "nothing")
    steps: dict[str, int] = {}
    disk = 0
    known: dict[str, tuple[int, int]] = {}
    for run in open_ones:
        try:
            if (key := _size_key(run.config)) not in known:
                known[key] = steps_of(run.config, root, machine.ranks)
        except UserError as error:
            return plan.add("to train", f"{len(open_ones)} runs; time unknown: {error}")
        steps[run.key] = known[key][0]
        disk += known[key][1]
    paces, how = _paces(plan, open_ones, runs, root, machine)
    total = sum(steps.values())
    plan.add("to train", f"{len(open_ones)} runs, {total:,} steps; {machine.text()}")
    if paces:
        mean = statistics.mean(paces.values())
        seconds = sum(steps[run.key] * paces.get(pace_key(run.config), mean) for run in open_ones)
        slots = min(machine.slots, len(open_ones))
        plan.add("time", f"about {duration_text(seconds / slots)} here, {how}; without evaluation")
    else:
        plan.add("time", "unknown until the caches are there, and where train.compile would compile first")
    plan.add("disk", f"up to {size_text(disk)} of checkpoints, {size_text(free_bytes(Path('runs')))} free")
    if disk > free_bytes(Path("runs")):
        plan.missing.append(f"runs: {size_text(disk)} of checkpoints do not fit: make room, or lower keep_checkpoints")


def _size_key(config: Config) -> str:
    return f"{pace_key(config)} {config.train.epochs} {config.train.keep_checkpoints} {config.cache_dir}"


def _paces(
    plan: Plan, open_ones: Sequence[PlannedRun], runs: Sequence[PlannedRun], root: Path, machine: Machine
) -> tuple[dict[str, float], str]:
    """Seconds of a step by pace_key, and how they are known: of finished runs, else from a few batches."""
    measured: dict[str, list[float]] = {}
    for run in runs:
        if finished(run.config):
            summary = read_summary(run.config)
            measured.setdefault(pace_key(run.config), []).append(summary.seconds / max(summary.steps, 1))
    paces = {key: statistics.median(found) for key, found in measured.items()}
    wanted = {pace_key(run.config): run.config for run in open_ones if not run.config.train.compile}
    lacking = {key: config for key, config in wanted.items() if key not in paces}
    set_threads(machine.threads, machine.slots * machine.ranks)
    for key, config in list(lacking.items())[:MOST_CALIBRATIONS]:
        try:
            paces[key] = calibrated(config, root, machine.device)
        except UserError as error:
            if all(Path(cache, "zarr.json").exists() for cache in caches_of(config)):  # else it has been said
                plan.missing.append(f"{config.name}: {error}")
    return paces, "from a few batches alone on it" if lacking else "by the pace of finished runs"
