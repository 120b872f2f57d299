"""The teacher caches that the runs of an ablation read: which there are, and making those that are missing."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.experiment_file import write_experiment
from ablate.machine import Machine, Programs
from ablate.points import Cut, PlannedRun
from cache.format import read_manifest
from common.config import Config
from common.errors import CacheError, UserError
from common.output import say
from common.ranks import leashed
from common.writers import STALE_SECONDS, workers_of

SECONDS_BETWEEN_LOOKS = 2.0
MAKER = "cache.toml"  # of a run's folder: the experiment that makes a cache for it


@dataclass(frozen=True)
class CacheNeed:
    """A cache, and the runs that read it. maker: the experiment that builds it, or whose cache it is cut out of as
    `cut` says; None where no run has it as its own."""

    path: Path
    runs: Sequence[PlannedRun]
    maker: Config | None
    cut: Cut | None = None

    def state(self) -> str:
        """sealed, begun or missing. Raises CacheError for one that is damaged."""
        if not (self.path / "zarr.json").exists():
            return "missing"
        return "sealed" if read_manifest(self.path)["sealed"] else "begun"

    @property
    def can_be_made(self) -> bool:
        """Whether `--build` makes it, given the one it is cut out of."""
        return self.maker is not None and self.maker.faces.subset is None

    def remedy(self) -> str:
        """How to come by it."""
        if self.maker is None:
            return "no run of this ablation builds it: build it by its own experiment file"
        if not self.can_be_made:
            return f"cut it out with `python -m cache subset --out {self.path}`, or vary subset.sample"
        return "give --build (BUILD=1)"


def caches_of(config: Config) -> list[str]:
    """The caches that a run reads, its own first; the list of some of the people is in one, too."""
    if not config.reads_teacher:
        return [config.faces.subset] if config.faces.subset is not None else []
    return [f"{config.cache_dir}", *config.cache.also]


def needed_caches(runs: Sequence[PlannedRun]) -> list[CacheNeed]:
    """Every cache that a run reads, in order of appearance, each after the one it has yet to be cut out of."""
    made: dict[str, tuple[Config | None, Cut | None]] = {}
    for run in runs:
        own = f"{run.config.cache_dir}"
        for path in caches_of(run.config):
            cut = run.cuts.get(path)
            maker = run.config if path == own else None
            if cut is not None:
                assert run.whole is not None
                maker = _with_cache(run.whole, cut.parent)
                if not (Path(path) / "zarr.json").exists():
                    parent = maker if cut.parent == f"{run.whole.cache_dir}" else None
                    _add(made, cut.parent, parent, None)
            _add(made, path, maker, cut)
    return [
        CacheNeed(Path(path), [run for run in runs if path in caches_of(run.config)], maker, cut)
        for path, (maker, cut) in made.items()
    ]


def _add(made: dict[str, tuple[Config | None, Cut | None]], path: str, maker: Config | None, cut: Cut | None) -> None:
    if made.get(path, (None, None))[0] is None:
        made[path] = (maker, cut)


def _with_cache(config: Config, path: str) -> Config:
    return config.model_copy(update={"cache": config.cache.model_copy(update={"path": path, "also": ()})})


def refuse_missing(needs: Sequence[CacheNeed], build: bool) -> None:
    """Raises CacheError naming every cache that is neither sealed nor about to be built."""
    lacking = [need for need in needs if need.state() != "sealed" and not (build and need.can_be_made)]
    if lacking:
        raise CacheError("; ".join(f"{need.path}: cache {need.state()}: {need.remedy()}" for need in lacking))


def build_caches(needs: Sequence[CacheNeed], root: Path, machine: Machine, programs: Programs) -> dict[Path, str]:
    """Make what is missing, one after the other, with whoever else makes it; why those that failed did."""
    failed: dict[Path, str] = {}
    for need in needs:
        if need.state() == "sealed" or need.maker is None:
            continue
        if need.cut is not None and Path(need.cut.parent) in failed:
            failed[need.path] = failed[Path(need.cut.parent)]
            continue
        status = (
            _cut_out(need, need.maker, need.cut, root, programs)
            if need.cut
            else _built(need, need.maker, root, machine, programs)
        )
        if need.state() != "sealed":
            failed[need.path] = f"{need.path}: the cache could not be built (status {status})"
    return failed


def _built(need: CacheNeed, maker: Config, root: Path, machine: Machine, programs: Programs) -> int:
    say(f"cache {need.path}: building")
    status = _run(programs.build(write_experiment(maker, MAKER), root, machine))
    while status == 0 and need.state() == "begun":  # other processes are at its last units
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return status


def _cut_out(need: CacheNeed, maker: Config, cut: Cut, root: Path, programs: Programs) -> int:
    """One process alone cuts a cache out; the others wait for it, and try themselves where it shows no end."""
    say(f"cache {need.path}: cutting it out of {cut.parent}")
    file, status = write_experiment(maker, MAKER), 1
    while need.state() != "sealed":
        until = time.monotonic() + STALE_SECONDS
        while workers_of(need.path) and time.monotonic() < until:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        if need.state() == "sealed":
            return 0
        status = _run(programs.cut(file, root, cut.options, need.path))
        if not workers_of(need.path):  # else it was another's to do
            break
    return status


def _run(arguments: Sequence[str]) -> int:
    return subprocess.run(leashed(arguments), check=False).returncode


def state_text(need: CacheNeed) -> str:
    """The state of a cache, or what is wrong with it."""
    try:
        return need.state()
    except UserError as error:
        return str(error)
