"""The numbers of a run, told to an experiment tracker too: trackio, Weights & Biases or MLflow (`train.track`).

A thread of its own does it: no step waits for a server, and whatever goes wrong there is said once while the training
goes on. `metrics.jsonl` and TensorBoard have everything in any case.
"""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

from pydantic import BaseModel

from common.config import Config
from common.documents import read_document
from common.files import write_json
from distill.run.checkpoints import first_line

PROJECT = "face-teacher-cache"
LONGEST = 120  # of an error, in characters
SECONDS_TO_END = 30.0  # for what a tracker has not sent yet when the training is over


class Tracked(BaseModel):
    """tracked.json of a run folder: where the run is tracked, and under which name or id there."""

    service: str
    run: str


class Service(NamedTuple):
    """An opened run of a tracker: its id there, taking the numbers of a step, and the end."""

    run: str
    add: Callable[[Mapping[str, float], int], object]
    end: Callable[[], object]


class Tracker:
    """Numbers on their way to `train.track`; with "off" nothing is imported, started or said."""

    def __init__(self, config: Config, step: int) -> None:
        """step: where the run goes on; at 0 it is a new run there, too."""
        self._name, self._news = config.train.track, list[str]()
        self._queue: SimpleQueue[tuple[int, dict[str, float]] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, args=(config, step), name="tracker", daemon=True)
        if self._name != "off":
            self._thread.start()

    def add(self, step: int, numbers: Mapping[str, float]) -> None:
        """Hand over the numbers of a step; returns at once."""
        if self._thread.is_alive():
            self._queue.put((step, dict(numbers)))

    def news(self) -> list[str]:
        """What went wrong since this was last asked, a line each."""
        said, self._news = self._news, []
        return said

    def close(self) -> list[str]:
        """Wait for what is not sent yet, not for ever; the last news."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(SECONDS_TO_END)
        late = f"{self._name}: not all of the run is there: it did not end within {SECONDS_TO_END:g} s"
        return self.news() + ([late] if self._thread.is_alive() else [])

    def _work(self, config: Config, step: int) -> None:
        try:
            service = _opened(config, step)
            while (line := self._queue.get()) is not None:
                service.add(line[1], line[0])
            service.end()
        except ImportError as error:
            self._news.append(
                f"train.track = {self._name!r}: not tracked, it cannot be imported ({first_line(error)[:LONGEST]})"
            )
        except Exception as error:  # of any service, network or disk: none is worth a training
            self._news.append(f"train.track = {self._name!r}: not tracked from here on ({first_line(error)[:LONGEST]})")


def _opened(config: Config, step: int) -> Service:
    """The run in its tracker: a new one, or the one that this run folder has begun."""
    name, note = config.train.track, config.run_dir / "tracked.json"
    service = _OPEN[name](importlib.import_module(name), config, _begun(note, name) if step else None)
    write_json(note, Tracked(service=name, run=service.run).model_dump())
    return service


def _begun(note: Path, service: str) -> str | None:
    found = read_document(note, Tracked) if note.exists() else None
    return found.run if found is not None and found.service == service else None


def _trackio(trackio: Any, config: Config, begun: str | None) -> Service:
    resume = "allow" if begun else "never"
    run = trackio.init(project=PROJECT, name=begun or config.name, config=_options(config), resume=resume)
    return Service(run.name, lambda numbers, step: run.log(dict(numbers), step=step), run.finish)


def _wandb(wandb: Any, config: Config, begun: str | None) -> Service:
    run = wandb.init(project=PROJECT, name=config.name, id=begun, config=_options(config), resume="allow")
    return Service(run.id, lambda numbers, step: run.log(dict(numbers), step=step), run.finish)


def _mlflow(mlflow: Any, config: Config, begun: str | None) -> Service:
    mlflow.set_experiment(PROJECT)
    run = mlflow.start_run(run_id=begun) if begun else mlflow.start_run(run_name=config.name)
    if not begun:
        mlflow.log_dict(_options(config), "configuration.json")
    # Of its names an @ is no part.
    return Service(
        run.info.run_id,
        lambda numbers, step: mlflow.log_metrics(
            {key.replace("@", "_at_"): x for key, x in numbers.items()}, step=step
        ),
        mlflow.end_run,
    )


def _options(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json")


_OPEN: dict[str, Callable[[Any, Config, str | None], Service]] = {
    "trackio": _trackio,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
