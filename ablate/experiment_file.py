"""The resolved experiment of a run, as a file that every command of the house takes."""

from pathlib import Path

from common.config import Config, toml_of
from common.files import replacing

# config.toml beside it is the training's own, which binds the folder.
EXPERIMENT = "experiment.toml"


def write_experiment(config: Config, name: str = EXPERIMENT) -> Path:
    """Write a run's experiment, or another of that name, into its folder; returns the path."""
    path = config.run_dir / name
    with replacing(path) as temporary:
        temporary.write_text(toml_of(config), encoding="utf-8")
    return path
