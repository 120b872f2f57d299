"""A run's folder belongs to one configuration."""

import fcntl
from pathlib import Path
from typing import IO

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


def claim(run_dir: Path, config: Config) -> IO | None:
    """Write the resolved configuration into the run folder, and clear away what a kill left half-written.

    The folder is this process's until it ends, or closes what is returned to the first rank. Raises ConfigError when
    another process has it, and naming the changed values when it was begun with another configuration.
    """
    path = run_dir / "config.toml"
    lock = _lock(run_dir) if rank() == 0 else None
    before = load_config(path) if path.exists() else config
    barrier()
    changed = [line for line in changes(before, config) if not line.startswith(FREE_TO_CHANGE)]
    if changed:
        raise ConfigError(
            f"{run_dir}: this run was begun with another configuration ({'; '.join(changed)}): "
            "give the experiment another name, or remove the folder"
        )
    if rank() == 0 and (before != config or not path.exists()):
        with replacing(path) as temporary:
            temporary.write_text(toml_of(config), encoding="utf-8")
    return lock


def _lock(run_dir: Path) -> IO:
    run_dir.mkdir(parents=True, exist_ok=True)
    handle = open(run_dir / ".lock", "a")  # noqa: SIM115 - held as long as the run
    try:
        # A record lock, unlike flock's, is not inherited by workers, which outlive a killed process by seconds.
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError(f"{run_dir}: another process is training this run: wait for it, or end it") from None
    for unfinished in run_dir.rglob(".*.tmp"):
        unfinished.unlink()
    return handle


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
