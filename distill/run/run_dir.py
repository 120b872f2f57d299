"""A run's folder belongs to one configuration, and to one process at a time."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from common.config import Config, load_config, toml_of
from common.errors import ConfigError, UserError
from common.files import replacing, sync
from common.runtime import barrier, rank
from common.writers import only_writer, refuse_busy
from distill.run.decides import deciding_changes


@contextmanager
def claimed(run_dir: Path, config: Config) -> Iterator[None]:
    """Hold a run's folder: its resolved configuration is written, what a kill left half-written is cleared away.

    Raises UserError when another process has it or it cannot be written, ConfigError naming the changed values when it
    was begun with another configuration.
    """
    with ExitStack() as held:
        try:
            if rank() == 0:
                held.enter_context(only_writer(run_dir, "a training"))
                _make(run_dir)
            path = run_dir / "config.toml"
            before = load_config(path) if path.exists() else config
            barrier()
            _refuse_changes(run_dir, before, config)
            if rank() == 0 and (before != config or not path.exists()):
                with replacing(path) as temporary:
                    temporary.write_text(toml_of(config), encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"{run_dir}: cannot be written ({error.strerror or error}): see to the folder and its disk, or work "
                "from another folder"
            ) from error
        yield


def refuse_unusable(run_dir: Path, config: Config) -> None:
    """Raises what `claimed` would, and writes nothing."""
    path = run_dir / "config.toml"
    refuse_busy(run_dir)
    if path.exists():
        _refuse_changes(run_dir, load_config(path), config)
    existing = run_dir.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(
            f"{run_dir}: cannot be written ({existing} is no folder, or not yours): see to the folder and its disk, or "
            "work from another folder"
        )


def _refuse_changes(run_dir: Path, before: Config, now: Config) -> None:
    if changed := deciding_changes(before, now):
        raise ConfigError(
            f"{run_dir}: this run was begun with another configuration ({'; '.join(changed)}): "
            "give the experiment another name, or remove the folder"
        )


def _make(run_dir: Path) -> None:
    """The folder and that of its checkpoints, entered in their parents on the disk."""
    checkpoints = run_dir / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    for folder in (run_dir, run_dir.parent, run_dir.parent.absolute().parent):
        sync(folder)
    for unfinished in run_dir.rglob(".*.tmp"):
        unfinished.unlink()
