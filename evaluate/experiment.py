"""From experiment files to what is evaluated: their students, their teachers, their sets."""

from collections.abc import Sequence
from pathlib import Path

from common.config import Config, ModelConfig
from common.errors import ConfigError, ModelError
from common.models import FaceModel, open_model
from common.plan import Plan


def open_models(configs: Sequence[Config], root: Path, device: str, threads: int) -> dict[str, FaceModel]:
    """The student of every experiment by its name, then every teacher among them once, as `NAME (teacher)`.

    Raises ModelError for an experiment whose student is not trained yet.
    """
    models = {}
    for config in configs:
        if not student_path(config).exists():
            raise ModelError(f"{student_path(config)}: no student there: train it with `make distill` first")
        weights = ModelConfig(weights=str(student_path(config).resolve()))
        models[config.name] = open_model(weights, root, device, threads)
    for config in configs:
        if config.teacher is not None and config.evaluate.teacher:
            name = f"{Path(config.teacher.weights).stem} (teacher)"
            if name not in models:
                models[name] = open_model(config.teacher, root, device, threads)
    return models


def verification_sets(configs: Sequence[Config], root: Path) -> dict[str, Path]:
    """All experiments' sets by name. Raises ConfigError when one name means two files."""
    sets: dict[str, Path] = {}
    for config in configs:
        for name, path in config.evaluate.sets.items():
            if sets.setdefault(name, root / path) != root / path:
                raise ConfigError(f"{config.name}: evaluate.sets.{name} is {root / path}, elsewhere {sets[name]}")
    return sets


def student_path(config: Config) -> Path:
    """Where stage two exports an experiment's student."""
    return config.run_dir / "student.safetensors"


def plan_evaluation(configs: Sequence[Config], root: Path) -> Plan:
    """Models and sets, and which of them are missing."""
    plan = Plan(f"evaluation of {', '.join(config.name for config in configs)}")
    for config in configs:
        if student_path(config).exists():
            plan.add("student", str(student_path(config)))
        else:
            plan.missing.append(f"{student_path(config)}: no student there: train it with `make distill`")
        if config.teacher is not None and config.evaluate.teacher:
            plan.add("teacher", config.teacher.weights)
        for name, path in config.evaluate.sets.items():
            if (root / path).exists():
                plan.add(f"set {name}", str(root / path))
            else:
                plan.missing.append(f"{root / path}: set {name} is not there. {config.evaluate.origin or ''}".rstrip())
    return plan
