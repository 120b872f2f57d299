"""The points of an ablation: cases x axes x seeds, each resolved to the configuration of one run.

A run is known by a digest of everything that decides its numbers. So points that come to the same run are one, whatever
they are called, and a run that is finished stays finished when a case is renamed or a seed is added.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from ablate.points.changes import changes_of, keys_of, short_keys, value_text
from ablate.points.file import AblateSection, Ablation
from ablate.points.identity import DIGITS, cache_identity, digest_of
from ablate.points.subsets import Cut, cut_changes, taken_apart
from common.config import Change, Config, checked
from common.errors import ConfigError, IdleOptionError

RUNS = Path("runs")


@dataclass(frozen=True)
class PlannedRun:
    """One run: its point (without the seed), what that changes, and the resolved configuration; `digest` is "" for a
    plain experiment, which runs under its own name. Of some of the people: the experiment of all of them, whose caches
    are cut, by path, into the run's."""

    point: str
    case: str
    axes: Mapping[str, Any]
    seed: int
    changes: tuple[Change, ...]
    config: Config
    digest: str
    whole: Config | None = None
    cuts: Mapping[str, Cut] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What the run is claimed by."""
        return self.digest or self.config.name

    @property
    def label(self) -> str:
        """Point and seed, as people are told of it."""
        return f"{self.point}, seed {self.seed}"


@dataclass
class Expansion:
    """All runs, in order of seeds and then points; the baseline's point; what was left out or came to the same."""

    runs: list[PlannedRun]
    baseline: str
    notes: list[str] = field(default_factory=list)

    @property
    def points(self) -> list[str]:
        """Names of the points, in order."""
        return list(dict.fromkeys(run.point for run in self.runs))


@dataclass(frozen=True)
class _Point:
    name: str
    case: str
    axes: dict[str, Any]
    changes: tuple[Change, ...]
    config: Config
    digest: str
    whole: Config | None
    cuts: dict[str, Cut]


def expand(ablation: Ablation, ranks: int = 1) -> Expansion:
    """All runs of an ablation; of a plain experiment file, its one. ranks: of each run, which decide its global batch.

    Raises ConfigError for a point that is no experiment, an axis without effect in any case, an exclusion that meets no
    point, a baseline or a metric's set that is not there.
    """
    if ablation.section is None:
        config = checked(ablation.written, ablation.overrides)
        alone = PlannedRun(config.name, "", {}, config.train.seed, (), config, "")
        return Expansion([alone], config.name)
    section, notes = ablation.section, list[str]()
    points = _points(ablation, section, ranks, notes)
    baseline = _baseline(ablation, points, section.baseline)
    _refuse_unknown_sets(ablation, section, points[0].config)
    folders = _folders_by_digest()
    runs = [_run(ablation, point, seed, ranks, folders) for seed in section.seeds for point in points]
    return Expansion(runs, baseline, notes)


def _points(ablation: Ablation, section: AblateSection, ranks: int, notes: list[str]) -> list[_Point]:
    _refuse_unknown_exclusions(ablation, section)
    names = short_keys(section.axes)
    base = checked(ablation.written, ablation.overrides)
    found: dict[str, _Point] = {}
    effects: dict[str, set[str]] = {key: set() for key in section.axes}
    unmet = list(section.exclude)
    for case in section.cases or {"": {}}:
        for values in product(*section.axes.values()):
            axes = dict(zip(section.axes, values, strict=True))
            meets = [rule for rule in section.exclude if rule.items() <= {"case": case, **axes}.items()]
            said = _name(ablation, case, axes, names)
            if meets:
                unmet = [rule for rule in unmet if rule not in meets]
                notes.append(f"{said}: excluded")
                continue
            point, idle = _resolved(ablation, section, case, axes, names, base, ranks)
            for key in axes.keys() - idle:
                effects[key].add(point.digest)
            same = found.setdefault(point.digest, point)
            if same is not point or idle:
                why = f"{', '.join(sorted(idle))} without effect there, " if idle else ""
                notes.append(f"{said}: {why}the same runs as {same.name}")
    if unmet:
        raise ConfigError(f"{ablation.path}: ablate.exclude: no point has {unmet[0]}: mend or remove it")
    for key, digests in effects.items():
        if len(section.axes[key]) > 1 and len(digests) < 2:
            raise ConfigError(f"{ablation.path}: ablate.axes.{key} changes no number of any run: remove it")
    if not found:
        raise ConfigError(f"{ablation.path}: ablate.exclude leaves no point: remove a rule")
    return list(found.values())


def _resolved(
    ablation: Ablation,
    section: AblateSection,
    case: str,
    axes: dict[str, Any],
    names: Mapping[str, str],
    base: Config,
    ranks: int,
) -> tuple[_Point, set[str]]:
    """The point, less the axes that have no effect in it; and these."""
    dropped: set[str] = set()
    while True:
        kept = {key: value for key, value in axes.items() if key not in dropped}
        changes = (*changes_of(section.cases.get(case, {})), *changes_of(kept))
        name = _name(ablation, case, kept, names)
        if any(keys[0] == "name" or keys == ("train", "seed") for keys, _ in changes):
            raise ConfigError(f"{ablation.path}: {name}: seeds are for ablate.seeds, a name is made: remove it")
        where = f"{ablation.path}: {name}:"
        of_experiment, subset = taken_apart(changes, where)
        try:
            whole = checked(ablation.written, (*of_experiment, *ablation.overrides), where)
        except IdleOptionError as error:
            idle = {key for key in kept if ".".join(keys_of(key)) in error.options}
            if not idle:
                raise
            dropped |= idle
            continue
        config = whole = _with_its_cache(ablation, whole, base, changes)
        cuts: dict[str, Cut] = {}
        if subset is not None:
            cut, cuts = cut_changes(whole, subset)
            config = checked(ablation.written, (*of_experiment, *ablation.overrides, *cut), where)
        digest = digest_of(config, ranks)
        return _Point(name, case, kept, changes, config, digest, whole if cuts else None, cuts), dropped


def _with_its_cache(ablation: Ablation, config: Config, base: Config, changes: Iterable[Change]) -> Config:
    """The configuration with its cache by path: the base's, or one of its own where that would hold other rows."""
    path = config.cache.path
    if path is None or not any(keys == ("cache", "path") for keys, _ in changes):
        path = base.cache.path or f"caches/{ablation.base}"
        if cache_identity(config) != cache_identity(base):
            path = f"{path}-{cache_identity(config)}"
    return config.model_copy(update={"cache": config.cache.model_copy(update={"path": path})})


def _run(ablation: Ablation, point: _Point, seed: int, ranks: int, folders: Mapping[str, str]) -> PlannedRun:
    seeded = point.config.model_copy(update={"train": point.config.train.model_copy(update={"seed": seed})})
    digest = digest_of(seeded, ranks)
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", f"{ablation.name}-{point.name}").strip("-._")[:60]
    name = folders.get(digest, f"{readable}-seed{seed}-{digest}")
    config = seeded.model_copy(update={"name": name})
    whole = None if point.whole is None else point.whole.model_copy(update={"name": name})
    return PlannedRun(point.name, point.case, point.axes, seed, point.changes, config, digest, whole, point.cuts)


def _folders_by_digest() -> dict[str, str]:
    """Folders of runs that there are, by the digest that their names end in."""
    names = sorted(path.name for path in RUNS.iterdir()) if RUNS.is_dir() else []
    ending = re.compile(rf"[A-Za-z0-9].*-([0-9a-f]{{{DIGITS}}})")
    return {match[1]: name for name in names if (match := ending.fullmatch(name))}


def _name(ablation: Ablation, case: str, axes: Mapping[str, Any], names: Mapping[str, str]) -> str:
    words = [case] if case else []
    return ", ".join([*words, *(f"{names[key]}={value_text(value)}" for key, value in axes.items())]) or ablation.name


def _baseline(ablation: Ablation, points: list[_Point], wanted: str | None) -> str:
    if wanted is None:
        return points[0].name
    names = [point.name for point in points]
    of_case = [point.name for point in points if point.case == wanted]
    if wanted in names or len(of_case) == 1:
        return wanted if wanted in names else of_case[0]
    raise ConfigError(f"{ablation.path}: ablate.baseline = {wanted!r} is no point: choose one of {'; '.join(names)}")


def _refuse_unknown_exclusions(ablation: Ablation, section: AblateSection) -> None:
    for rule in section.exclude:
        for key, value in rule.items():
            known = [*section.cases] if key == "case" else section.axes.get(key)
            if known is None:
                raise ConfigError(f"{ablation.path}: ablate.exclude: {key} is neither `case` nor an axis")
            if value not in known:
                raise ConfigError(f"{ablation.path}: ablate.exclude: {key} = {value!r} is none of {known}")


def _refuse_unknown_sets(ablation: Ablation, section: AblateSection, config: Config) -> None:
    for metric in section.metrics:
        name, dot, _ = metric.partition(".")
        if not dot or name not in config.evaluate.sets:
            sets = ", ".join(config.evaluate.sets) or "none"
            raise ConfigError(f"{ablation.path}: ablate.metrics: {metric}: write SET.METRIC; sets are: {sets}")
