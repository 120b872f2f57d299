"""Stage one's units as tasks of a queue, started by datatrove: on this machine, through SLURM, or through Ray.

python -m cache cluster --config configs/ms1mv2.toml --tasks 16 --executor slurm \
    -o partition=gpu -o time=20:00:00 -o gpus_per_task=1 -o cpus_per_task=8

A task computes a range of units, as `python -m cache build --units A:B` does. What is finished stands in the cache's
ledger alone: the engine's own markers are not asked, so every task may be run again, and one that finds its units
there ends at once. The last task seals.
"""

import importlib
import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from common.config import Config
from common.errors import ConfigError

Executor = Literal["local", "slurm", "ray"]
CLASSES = {"local": "LocalPipelineExecutor", "slurm": "SlurmPipelineExecutor", "ray": "RayPipelineExecutor"}
OURS = ("pipeline", "tasks", "logging_dir", "skip_completed", "nodes_per_task", "depends")


@dataclass(frozen=True, repr=False)
class BuildTask:
    """What the engine pickles, carries to a machine, and calls there. folder: where relative paths start."""

    config: Config
    root: Path
    device: str
    threads: int | None
    folder: Path

    def __call__(self, data: Any, task: int, tasks: int) -> None:
        """Compute the units of one task of `tasks`. Raises what `cache.build.build` does."""
        from cache.build import build, units_of
        from cache.teachers import open_teacher
        from common.faces import open_faces
        from common.runtime import choose_device, set_threads

        os.chdir(self.folder)
        threads = set_threads(self.threads, 1)
        source = open_faces(self.config, self.root)
        teacher = open_teacher(self.config, self.root, source, str(choose_device(self.device)), threads)
        part = units_of_task(task, tasks, units_of(self.config, source, teacher))
        if part.start < part.stop:
            build(self.config, source, teacher, threads, quiet=True, part=part)

    def __repr__(self) -> str:
        return f"stage one of {self.config.name} in {self.folder / self.config.cache_dir}"


def units_of_task(task: int, tasks: int, units: int) -> slice:
    """The range of one task of many; together they are all units, and no two differ by more than one unit."""
    return slice(task * units // tasks, (task + 1) * units // tasks)


def submit(
    config: Config,
    root: Path,
    device: str,
    threads: int | None,
    executor: Executor,
    tasks: int,
    options: Sequence[str],
) -> Path:
    """Run the tasks here (`local`), or hand them to the queue; returns the folder of their logs, beside the cache.

    options: NAME=VALUE, handed to datatrove's executor as they are. Raises ConfigError where it is not installed or
    does not know an option.
    """
    engine = _engine(executor)
    given = _parsed(options, executor, engine)
    if executor == "local":
        workers = min(tasks, given.setdefault("workers", 1))
        _refuse_one_card_for_many(device, workers)
        threads = threads or max(1, len(os.sched_getaffinity(0)) // workers)
    logs = config.cache_dir.with_name(f"{config.cache_dir.name}.tasks")
    task = BuildTask(config, root.absolute(), device, threads, Path.cwd())
    engine(pipeline=[task], tasks=tasks, logging_dir=f"{logs.absolute()}", skip_completed=False, **given).run()
    return logs


def _engine(executor: Executor) -> Any:
    try:
        import datatrove.executor as engines

        if executor == "ray":
            importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--executor {executor}: {error.name} is not installed in this environment: pip install {error.name}"
        ) from None
    return getattr(engines, CLASSES[executor])


def _parsed(options: Sequence[str], executor: Executor, engine: Any) -> dict[str, Any]:
    """NAME=VALUE as arguments of the engine; whole numbers as such. Raises ConfigError for what it does not take."""
    parameters = inspect.signature(engine).parameters
    known = [name for name in parameters if name not in OURS]
    given: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or name not in known:
            raise ConfigError(f"-o {option}: {executor} takes NAME=VALUE with one of {', '.join(known)}")
        given[name] = int(value) if value.lstrip("-").isdecimal() else value
    needed = [name for name in known if parameters[name].default is inspect.Parameter.empty and name not in given]
    if needed:
        raise ConfigError(f"--executor {executor}: needs {', '.join(f'-o {name}=...' for name in needed)}")
    return given


def _refuse_one_card_for_many(device: str, workers: int) -> None:
    from common.runtime import choose_device

    if workers > 1 and choose_device(device).type == "cuda":
        raise ConfigError(
            f"--executor local, {workers} workers: all would take the same card: run "
            f"`python -m common.processes {workers} -m cache build`, or set --device cpu"
        )
