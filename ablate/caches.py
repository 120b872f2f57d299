"""The teacher caches that the runs of an ablation read: which there are, and making those that are missing."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.experiment_file import write_experiment
from ablate.machine import Machine, Programs
from ablate.points import PlannedRun
from cache.format import read_manifest
from common.config import Config
from common.errors import CacheError, UserError
from common.output import say
from common.ranks import leashed

SECONDS_BETWEEN_LOOKS = 2.0


@dataclass(frozen=True)
class CacheNeed:
    """A cache, the runs that read it, and the run whose experiment builds it, if one does."""

    path: Path
    runs: Sequence[PlannedRun]
    maker: PlannedRun | None

    def state(self) -> str:
        """sealed, begun or missing. Raises CacheError for one that is damaged."""
        if not (self.path / "zarr.json").exists():
            return "missing"
        return "sealed" if read_manifest(self.path)["sealed"] else "begun"

    def remedy(self) -> str:
        """How to come by it."""
        if self.maker is None:
            return "no run of this ablation builds it: build it by its own experiment file"
        if self.maker.config.faces.subset is not None:
            return f"cut it out with `python -m cache subset --out {self.path}`"
        return "give --build (BUILD=1)"


def caches_of(config: Config) -> list[str]:
    """The caches that a run reads, its own first."""
    return [f"{config.cache_dir}", *config.cache.also] if config.reads_teacher else []


def needed_caches(runs: Sequence[PlannedRun]) -> list[CacheNeed]:
    """Every cache that a run reads, in order of appearance."""
    needs = []
    for path in dict.fromkeys(path for run in runs for path in caches_of(run.config)):
        readers = [run for run in runs if path in caches_of(run.config)]
        makers = [run for run in readers if f"{run.config.cache_dir}" == path]
        needs.append(CacheNeed(Path(path), readers, makers[0] if makers else None))
    return needs


def can_build(need: CacheNeed) -> bool:
    """Whether `--build` makes it."""
    return need.maker is not None and need.maker.config.faces.subset is None


def refuse_missing(needs: Sequence[CacheNeed], build: bool) -> None:
    """Raises CacheError naming every cache that is neither sealed nor about to be built."""
    lacking = [need for need in needs if need.state() != "sealed" and not (build and can_build(need))]
    if lacking:
        raise CacheError("; ".join(f"{need.path}: cache {need.state()}: {need.remedy()}" for need in lacking))


def build_caches(needs: Sequence[CacheNeed], root: Path, machine: Machine, programs: Programs) -> dict[Path, str]:
    """Build what is missing, one after the other, with whoever else builds it; why those that failed did."""
    failed = {}
    for need in needs:
        if need.state() == "sealed" or need.maker is None:
            continue
        say(f"cache {need.path}: building")
        file = write_experiment(need.maker.config)
        status = subprocess.run(leashed(programs.build(file, root, machine)), check=False).returncode
        while status == 0 and need.state() == "begun":  # other processes are at its last units
            time.sleep(SECONDS_BETWEEN_LOOKS)
        if need.state() != "sealed":
            failed[need.path] = f"{need.path}: the cache could not be built (status {status})"
    return failed


def state_text(need: CacheNeed) -> str:
    """The state of a cache, or what is wrong with it."""
    try:
        return need.state()
    except UserError as error:
        return str(error)
