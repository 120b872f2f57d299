"""One run on its way: trained, then evaluated, each in a process of its own."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ablate.child import Child
from ablate.experiment_file import write_experiment
from ablate.machine import Machine, Programs
from ablate.points import PlannedRun
from ablate.records import asked_of, evaluated, finished, forget_failure, note_evaluation

LOG = "ablation.log"
SECONDS_BETWEEN_LINES = 1.0


class Job:
    """A run in a slot. stage: what it does now."""

    def __init__(
        self,
        run: PlannedRun,
        slot: int,
        root: Path,
        machine: Machine,
        programs: Programs,
        all_runs: Sequence[PlannedRun],
    ) -> None:
        self.run, self._root, self._machine, self._programs, self._all = run, root, machine, programs, all_runs
        self._environment = machine.environment(slot)
        forget_failure(run.config.run_dir)
        self._file = write_experiment(run.config)
        self._teacher = False
        self._child: Child | None = None
        self._looked, self._line, self._new_stage = 0.0, "", False
        self.stage: Literal["training", "evaluating"] = "training"
        self._next()

    def go_on(self) -> str | None:
        """None while it goes on; "" when all is done, else why it failed."""
        if self._child is None:
            return ""
        status = self._child.status()
        if status is None:
            return None
        if status != 0:
            return self._child.why_it_ended()
        if self.stage == "training" and not finished(self.run.config):
            return f"training ended without a student; see {self._child.log}"
        if self.stage == "evaluating":
            note_evaluation(self.run.config, self._root, self._teacher)
            return ""
        self._new_stage = True
        self._next()
        return "" if self._child is None else None

    def began_stage(self) -> bool:
        """Whether the stage has changed since this was last asked."""
        changed, self._new_stage = self._new_stage, False
        return changed

    def last_line(self) -> str:
        """What it said last, looked up once a second."""
        if self._child is not None and time.monotonic() - self._looked > SECONDS_BETWEEN_LINES:
            self._looked, self._line = time.monotonic(), self._child.last_line()
        return self._line

    def interrupt(self) -> None:
        """Ctrl-C."""
        if self._child is not None:
            self._child.interrupt()

    def end(self) -> None:
        """Wait until an interrupted process is gone."""
        if self._child is not None:
            self._child.end()

    def _next(self) -> None:
        """Start the first stage that is not done; none where nothing is left."""
        config = self.run.config
        if not finished(config):
            arguments = self._programs.train(self._file, self._root, self._machine)
        elif asked_of(config, self._root, teacher=False).sets:
            self.stage, self._teacher = "evaluating", self._teacher_wanted()
            arguments = self._programs.evaluate(self._file, self._root, self._machine, self._teacher)
        else:
            self._child = None
            return
        self._child = Child(arguments, config.run_dir / LOG, self._environment)

    def _teacher_wanted(self) -> bool:
        """Whether nobody has measured this run's teacher on these sets yet: it need not be measured beside every
        student."""
        config = self.run.config
        if config.teacher is None or not config.evaluate.teacher:
            return False
        mine = asked_of(config, self._root, teacher=True)
        others = (evaluated(run.config) for run in self._all)
        return not any(
            other is not None and (other.teacher, other.options, other.sets) == (mine.teacher, mine.options, mine.sets)
            for other in others
        )
