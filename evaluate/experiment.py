"""From experiment files to what is evaluated: their students, their teachers, their sets."""

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from common.config import Config, MeasureConfig
from common.embeddings import embed_faces
from common.errors import ConfigError, ModelError, UserError
from common.models import IDENTITY, STUDENT, FaceModel, identity_of, open_model
from common.plan import Plan, duration_text
from common.text import file_name
from evaluate.models import BEST, open_weights
from evaluate.sets import DEFAULT, open_set

SOME = 16  # pictures that a plan embeds to say how long all take


def open_models(
    configs: Sequence[Config], root: Path, device: str, threads: int, options: MeasureConfig = DEFAULT
) -> dict[str, FaceModel]:
    """The student of every experiment by its name and, where training kept one, `NAME (best)` by its `best_by`; then
    every teacher among them once, as `NAME (teacher)`.

    `options` is for the students; a teacher computes as its section says.

    Raises ModelError for an experiment whose student is not trained yet.
    """
    models = {}
    for config in configs:
        if not student_path(config).exists():
            raise ModelError(f"{student_path(config)}: no student there: train it with `make distill` first")
        for name, path in students(config).items():
            models[name] = open_weights(str(path), root, device, threads, options)
    teachers: dict[str, FaceModel] = {}
    for config in configs:
        if config.teacher is not None and config.evaluate.teacher:
            spelled = config.teacher.model_dump_json()
            if spelled not in teachers:
                teachers[spelled] = open_model(config.teacher, root, device, threads)
    for name, teacher in distinct_names(list(teachers.values())).items():
        models[f"{name} (teacher)"] = teacher
    return models


def distinct_names(models: Sequence[FaceModel]) -> dict[str, FaceModel]:
    """Each model once, by the name of its file, folder or repository; those of one name also by what tells them apart.

    Models of equal identity are one, however they are spelled.
    """
    once = {json.dumps(identity_of(model.describe())): model for model in reversed(models)}
    named: dict[str, list[FaceModel]] = {}
    for model in reversed(once.values()):
        named.setdefault(re.sub(r"\.(onnx|safetensors|pth?|ckpt)$", "", model.describe()["name"]), []).append(model)
    found = {}
    for name, alike in named.items():
        accounts = [identity_of(model.describe()) for model in alike]
        differ = [field for field in IDENTITY if any(a[field] != accounts[0][field] for a in accounts)]
        for model, account in zip(alike, accounts, strict=True):
            told = ", ".join(str(account[f])[:8] if f == "weights_sha256" else f"{f} {account[f]}" for f in differ)
            found[f"{name} {told}".rstrip()] = model
    return found


def verification_sets(configs: Sequence[Config], root: Path) -> dict[str, Path]:
    """All experiments' sets by name. Raises ConfigError when one name means two files."""
    sets: dict[str, Path] = {}
    for config in configs:
        for name, path in config.evaluate.sets.items():
            if sets.setdefault(name, root / path) != root / path:
                raise ConfigError(f"{config.name}: evaluate.sets.{name} is {root / path}, elsewhere {sets[name]}")
    return sets


def measured_alike(configs: Sequence[Config], with_asked: Callable[[MeasureConfig], MeasureConfig]) -> MeasureConfig:
    """The options of all experiments, which make one table; `with_asked` adds those of the command line.

    Raises ConfigError naming an option in which two experiments differ.
    """
    first, *others = (with_asked(config.evaluate) for config in configs)
    for config, other in zip(configs[1:], others, strict=True):
        for name, value in first:
            if getattr(other, name) != value:
                raise ConfigError(
                    f"evaluate.{name} is {value} in {configs[0].name} and {getattr(other, name)} in {config.name}; "
                    f"a table needs one: give --{name.replace('_', '-')}"
                )
    return first


def student_path(config: Config) -> Path:
    """Where stage two exports an experiment's student."""
    return config.run_dir / STUDENT


def students(config: Config) -> dict[str, Path]:
    """An experiment's exported students: the last step's, and the best by `train.best_by` where there is one."""
    last = student_path(config)
    best = last.with_name(BEST)
    return {config.name: last} | ({f"{config.name} (best)": best} if best.exists() else {})


def report_folder(configs: Sequence[Config]) -> Path:
    """An experiment's report lies in its run; a table of several has a folder of its own beside the runs."""
    if len(configs) == 1:
        return configs[0].run_dir / "evaluation"
    return configs[0].run_dir.parent / "tables" / file_name("+".join(config.name for config in configs))


def plan_evaluation(
    configs: Sequence[Config],
    root: Path,
    device: str = "cpu",
    threads: int = 1,
    how: Callable[[MeasureConfig], MeasureConfig] = lambda section: section,
) -> Plan:
    """Models and sets, which of them are not there, and the time on this machine; `how` as for `measured_alike`.

    As the command, it skips sets by name, and lacks them only where none is there.
    """
    plan = Plan(f"evaluation of {', '.join(config.name for config in configs)}")
    for config in configs:
        if student_path(config).exists():
            for name, weights in students(config).items():
                plan.add("student" if name == config.name else "best student", str(weights))
        else:
            plan.missing.append(f"{student_path(config)}: no student there: train it with `make distill`")
        if config.teacher is not None and config.evaluate.teacher:
            plan.add("teacher", config.teacher.weights)
        for name, path in config.evaluate.sets.items():
            if not (root / path).exists():
                plan.add(f"skipped {name}", f"not found: {root / path}")
                continue
            try:
                plan.add(f"set {name}", f"{root / path}, {len(open_set(root / path).pictures):,} pictures")
            except UserError as error:
                plan.missing.append(str(error))
    if not any(config.evaluate.sets for config in configs):
        plan.missing.append("sets to evaluate on: name them in [evaluate.sets] of the experiment file")
    elif not any((root / path).exists() for config in configs for path in config.evaluate.sets.values()):
        origins = " ".join(dict.fromkeys(config.evaluate.origin for config in configs if config.evaluate.origin))
        plan.missing.append(f"all sets to evaluate on. {origins}".rstrip())
    for refuse in (lambda: verification_sets(configs, root), lambda: measured_alike(configs, how)):
        try:
            refuse()
        except UserError as error:
            plan.missing.append(str(error))
    if not plan.missing:
        _plan_time(plan, configs, root, device, threads, how)
    return plan


def _plan_time(
    plan: Plan,
    configs: Sequence[Config],
    root: Path,
    device: str,
    threads: int,
    how: Callable[[MeasureConfig], MeasureConfig],
) -> None:
    """Add the time that embedding takes here, from a batch of each model, or why a model cannot be opened."""
    try:
        measured = measured_alike(configs, how)
        models = open_models(configs, root, device, threads, measured)
        sets = [open_set(path) for path in verification_sets(configs, root).values() if path.exists()]
        few = min(SOME, measured.batch_size, len(sets[0].pictures))
        seconds = 0.0
        for model in models.values():
            embed_faces(model, sets[0].pictures[:few], few, measured.flip)
            began = time.perf_counter()
            embed_faces(model, sets[0].pictures[:few], few, measured.flip)
            seconds += (time.perf_counter() - began) / few
    except UserError as error:
        plan.missing.append(str(error))
        return
    total = sum(len(faces.pictures) for faces in sets)
    plan.add("time", f"about {duration_text(total * seconds)} for {total:,} pictures by {len(models)} models here")
