"""Train and evaluate the runs of an ablation, several at once, here and on other machines of the same file system.

A run is claimed before it is started (common/writers/claims.py), so nobody does it twice; whoever is killed loses its
claims, and another process, or the same command again, goes on from the run's last checkpoint.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ablate.caches import build_caches, caches_of, needed_caches, refuse_missing
from ablate.job import Job
from ablate.live import LiveTable
from ablate.machine import Machine, OwnPrograms, Programs
from ablate.points import PlannedRun, expand, read_ablation
from ablate.records import CLAIMS, complete, failure_of, note_failure
from common.errors import ConfigError, UserError
from common.failures import line_of
from common.output import say
from common.writers import STALE_SECONDS, Claims, at_work, refuse_busy

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_BETWEEN_CLAIMS = 1.0


def run_ablation(
    path: str | Path,
    root: Path,
    overrides: Iterable[str],
    machine: Machine,
    only: str | None = None,
    build: bool = False,
    stale: float = STALE_SECONDS,
    programs: Programs | None = None,
) -> int:
    """Do what is not done of an ablation, or one run of it; the exit status: 1 where a run failed, else 0.

    Raises ConfigError for the file, CacheError for caches that are missing and not to be built.
    """
    programs = programs or OwnPrograms()
    ablation = read_ablation(path, overrides)
    expansion = expand(ablation, machine.ranks)
    runs = expansion.runs if only is None else [_only(expansion.runs, only)]
    open_ones = [run for run in runs if not complete(run.config, root)]
    needs = needed_caches(open_ones)
    refuse_missing(needs, build)
    if only is None:
        for note in expansion.notes:
            say(f"note: {note}")
    say(f"{ablation.name}: {len(runs)} runs, {len(open_ones)} of them to do; {machine.text()}")
    failed = build_caches(needs, root, machine, programs)
    with at_work(CLAIMS, "an ablation", shared=True, stale=stale) as claims, LiveTable(runs) as live:
        work = _Work(runs, root, machine, programs, claims, live)
        for run in open_ones:
            if why := next((failed[Path(cache)] for cache in caches_of(run.config) if Path(cache) in failed), None):
                work.fail(run, why)
        try:
            work.go_on()
        finally:
            work.stop()
    for label, why in work.failed.items():
        say(f"failed: {label}: {why}")
    return 1 if work.failed else 0


class _Work:
    """What is to do, what runs in which slot, and what failed."""

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        root: Path,
        machine: Machine,
        programs: Programs,
        claims: Claims,
        live: LiveTable,
    ) -> None:
        self.root, self.machine, self.programs, self.claims, self.live = root, machine, programs, claims, live
        self.runs = list(runs)
        self.pending = list(runs)
        self.running: dict[int, Job] = {}
        self.failed: dict[str, str] = {}
        self.failures_before = {run.key: failure_of(run.config.run_dir) for run in runs}
        self._next_claims = 0.0

    def go_on(self) -> None:
        """Until every run is done or failed, here or elsewhere."""
        while self.pending or self.running:
            for slot, job in list(self.running.items()):
                self._look_at(slot, job)
            if time.monotonic() >= self._next_claims:
                self._next_claims = time.monotonic() + SECONDS_BETWEEN_CLAIMS
                self._start_more()
            if self.pending or self.running:
                time.sleep(SECONDS_BETWEEN_LOOKS)

    def stop(self) -> None:
        """Interrupt what runs; nothing after Ctrl-C or an error is done without being looked at."""
        for job in self.running.values():
            job.interrupt()
        for job in self.running.values():
            job.end()
        self.running.clear()

    def fail(self, run: PlannedRun, why: str) -> None:
        """A run has failed, here or elsewhere; the others go on."""
        self.failed[run.label] = why
        self.pending = [other for other in self.pending if other is not run]
        self.live.state(run.key, "failed", why)

    def _done(self, run: PlannedRun) -> None:
        self.pending = [other for other in self.pending if other is not run]
        self.live.state(run.key, "done", f"{run.config.run_dir}")

    def _start_more(self) -> None:
        """Every pending run: done meanwhile, claimed by others, or this process's to start where a slot is free."""
        for run in list(self.pending):
            failure = failure_of(run.config.run_dir)
            if complete(run.config, self.root):
                self._done(run)
            elif failure is not None and failure != self.failures_before[run.key]:
                self.fail(run, f"{failure.why} (on {failure.host})")
            elif len(self.running) < self.machine.slots:
                self._claim(run)

    def _claim(self, run: PlannedRun) -> None:
        if not self.claims.take(run.key):
            self.live.state(run.key, "elsewhere")
            return
        if complete(run.config, self.root):  # by whoever had it until a moment ago
            self.claims.done(run.key)
            return self._done(run)
        try:
            refuse_busy(run.config.run_dir)
        except UserError as error:  # an orphan on its way out, or somebody's own training
            return self.live.state(run.key, "elsewhere", str(error))
        slot = next(slot for slot in range(self.machine.slots) if slot not in self.running)
        try:
            self.running[slot] = Job(run, slot, self.root, self.machine, self.programs, self.runs)
        except OSError as error:  # a full disk, say, which need not be that of the others
            self.claims.done(run.key)
            return self.fail(run, line_of(error) or f"{error}")
        self.pending.remove(run)
        self.live.state(run.key, self.running[slot].stage)

    def _look_at(self, slot: int, job: Job) -> None:
        run = job.run
        if not self.claims.holds(run.key):  # this process slept, and was thought gone
            job.interrupt()
            job.end()
            del self.running[slot]
            self.pending.append(run)
            return self.live.state(run.key, "elsewhere")
        outcome = job.go_on()
        if outcome is None:
            if job.began_stage():
                self.live.state(run.key, job.stage)
            return self.live.progress(run.key, job.last_line())
        del self.running[slot]
        self._next_claims = 0.0
        if outcome:
            with suppress(OSError):  # where a full disk was the failure
                note_failure(run.config.run_dir, outcome)
            self.failures_before[run.key] = failure_of(run.config.run_dir)
            self.fail(run, outcome)
        else:
            self._done(run)
        self.claims.done(run.key)


def _only(runs: Sequence[PlannedRun], only: str) -> PlannedRun:
    found = [run for run in runs if only in (run.digest, run.config.name, f"{run.config.run_dir}")]
    if not found:
        raise ConfigError(f"--only {only}: no run of this ablation: `python -m ablate commands` lists them")
    return found[0]
