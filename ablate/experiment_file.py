"""The resolved experiment of a run, as a file that every command of the house takes."""

from pathlib import Path

from common.config import Config, toml_of
from common.files import replacing


def experiment_path(config: Config) -> Path:
    """Where it lies; config.toml beside it is the training's own, which binds the folder."""
    return config.run_dir / "experiment.toml"


def write_experiment(config: Config) -> Path:
    """Write a run's experiment into its folder; returns the path."""
    path = experiment_path(config)
    with replacing(path) as temporary:
        temporary.write_text(toml_of(config), encoding="utf-8")
    return path
