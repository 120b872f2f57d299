"""The demo's procedural faces, and the project's own commands over them, in a row's folder."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.place import ROOT, Place
from common.config import Config, load_config
from demo.dataset import make_data

FACES = "data/demo/seed0"
TEACHER = str(ROOT / "demo/teacher.safetensors")
# A line a step, and a rate at which rounding does not grow: at the demo's own, losses of one rank and of two differ by
# 2e-7 in the first step and 6e-2 in the fifth.
SMALL = {
    "train.epochs": 2,
    "train.batch_size": 32,
    "train.lr": 1e-4,
    "train.log_every": 1,
    "train.precision": "float32",
}


def make_faces(place: Place) -> None:
    """40 people of 5 photos and 80 pairs of others; on a card 200 and 400."""
    people, pairs = (200, 400) if place.card else (40, 80)
    make_data(place.folder / FACES, identities=people, photos=5, pairs=pairs)


def experiment_words(**changes: Any) -> list[str]:
    """The demo's experiment file as a command takes it; changes: `train__epochs=3` sets train.epochs."""
    values = {"teacher": TEACHER, "cache.path": "caches/demo", **SMALL}
    values |= {key.replace("__", "."): value for key, value in changes.items()}
    told = [f"{key}={toml(value)}" for key, value in values.items()]
    return ["--config", str(ROOT / "configs/demo.toml"), "--data", ".", *(x for word in told for x in ("--set", word))]


def experiment(**changes: Any) -> Config:
    """The same as a Config."""
    words = experiment_words(**changes)
    return load_config(words[1], words[5::2])


def toml(value: Any) -> str:
    """A value of an experiment file; JSON's texts, numbers and truths are TOML's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


def build_cache(place: Place, device: str, *more: str, **changes: Any) -> None:
    """Stage one."""
    command("cache", "build", *experiment_words(**changes), "--device", device, *more)


def train_words(device: str, name: str, **changes: Any) -> list[str]:
    """Stage two of the run `name`, as arguments of python."""
    return ["-m", "distill", "train", *experiment_words(name=name, **changes), "--device", device]


def command(*words: str, ranks: int = 1) -> str:
    """`python -m WORDS`, with ranks > 1 under the launcher; what it printed. Raises RuntimeError where it fails."""
    launcher = ["common.launch", "--standalone", f"--nproc_per_node={ranks}", "-m"] if ranks > 1 else []
    arguments = [sys.executable, "-m", *launcher, *words]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout, flush=True)
    if done.returncode:
        raise RuntimeError(f"python -m {' '.join(words[:2])}: exit status {done.returncode}: {last_line(done.stdout)}")
    return done.stdout


def last_line(text: str) -> str:
    """The last that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no word")


def curve(name: str) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl."""
    return [json.loads(line) for line in Path("runs", name, "metrics.jsonl").read_text().splitlines()]


def losses_of(name: str, first: int | None = None) -> list[float]:
    """The loss of each step of a run."""
    return [line["loss"] for line in curve(name) if "loss" in line][:first]


def worst_ratio(values: Sequence[float], reference: Sequence[float]) -> float:
    """The largest relative difference; infinite where there are more of one than of the other."""
    if len(values) != len(reference) or not values:
        return float("inf")
    return max(abs(value / wanted - 1) for value, wanted in zip(values, reference, strict=True))
