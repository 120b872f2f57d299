"""A run's folder belongs to one configuration."""

from pathlib import Path

from common.config import Config
from common.config_file import load_config, toml_of
from common.errors import ConfigError
from common.files import replacing
from common.runtime import barrier, rank

# Changing these does not make it another run.
FREE_TO_CHANGE = (
    "evaluate.",
    "faces.origin",
    *(f"train.{name}" for name in ("workers", "log_every", "keep_checkpoints", "checkpoint_minutes", "verify")),
    *(f"train.{name}" for name in ("evaluate_every", "best_by")),
    # distill/progress.py holds the global batch fast, which ranks may share out in another way.
    "train.batch_size",
)


def claim(run_dir: Path, config: Config) -> None:
    """Write the resolved configuration into a new run folder.

    Raises ConfigError naming the changed values when the folder was begun with another configuration.
    """
    path = run_dir / "config.toml"
    if rank() == 0 and not path.exists():
        with replacing(path) as temporary:
            temporary.write_text(toml_of(config), encoding="utf-8")
    barrier()
    changed = [line for line in changes(load_config(path), config) if not line.startswith(FREE_TO_CHANGE)]
    if changed:
        raise ConfigError(
            f"{run_dir}: this run was begun with another configuration ({'; '.join(changed)}): "
            "give the experiment another name, or remove the folder"
        )


def changes(before: Config, now: Config) -> list[str]:
    """One line per value that differs between two configurations."""
    lines = []
    old, new = before.model_dump(), now.model_dump()
    for section, a in old.items():
        b = new[section]
        if isinstance(a, dict) and isinstance(b, dict):
            lines += [f"{section}.{key} was {a.get(key)!r}, is {b.get(key)!r}" for key in a if a.get(key) != b.get(key)]
        elif a != b:
            lines.append(f"{section} was {a!r}, is {b!r}")
    return lines
