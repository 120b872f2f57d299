"""The commands of all three stages on the demo's faces."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.demo_faces import (
    TEACHER,
    build_cache,
    command,
    curve,
    experiment_words,
    losses_of,
    make_faces,
    train_words,
    worst_ratio,
)
from benchmarks.gpu.finding import Finding, at_least, at_most, holds, measured, needs_card
from benchmarks.gpu.place import Place
from cache.reader import TeacherCache
from common.models import read_tensors

SECONDS_TO_A_CHECKPOINT = 90


def caches(place: Place) -> Iterator[Finding]:
    """One cache by the CPU, one by the device in other batches, threads and precisions."""
    make_faces(place)
    build_cache(place, "cpu", "--threads", "1", cache__path="caches/cpu")
    device = place.device.type
    for precision in ("float32", "bfloat16"):
        teacher, path = {"weights": TEACHER, "precision": precision}, f"caches/{precision}"
        build_cache(place, device, "--threads", "2", cache__path=path, cache__batch_size=40, teacher=teacher)
        yield from compared(f"{precision} on {device}", TeacherCache("caches/cpu"), TeacherCache(path), precision)
    command("cache", "verify", *experiment_words(cache__path="caches/float32"), "--device", device, "--replay", "40")
    yield holds("`python -m cache verify` of the device's cache", True, "no fault", "no fault")
    if not place.card:
        yield needs_card("a cache made by the card")


def compared(what: str, reference: TeacherCache, other: TeacherCache, precision: str) -> Iterator[Finding]:
    """Embeddings and class centres by cosine and largest difference; pixels and labels by their bytes."""
    samples = np.arange(len(reference))
    cosine, off, pixels = 1.0, 0.0, other.views == reference.views
    for view in range(reference.views):
        a, b = reference.gather(samples, view), other.gather(samples, view)
        cosine = min(cosine, float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min()))
        off = max(off, float(np.abs(a - b).max()))
        pixels &= bool((reference.pixels(samples, view) == other.pixels(samples, view)).all())
    yield at_least(f"{what}: least cosine", cosine, 0.999 if precision == "bfloat16" else 0.99999, "{:.6f}")
    yield at_most(f"{what}: largest difference of a number", off, 0.03 if precision == "bfloat16" else 2e-3)
    same = pixels and bool((reference.labels == other.labels).all())
    yield holds(f"{what}: pixels and labels", same, "the same" if same else "others", "the same")


def resume(place: Place) -> Iterator[Finding]:
    """A run killed with SIGKILL after its second checkpoint and started again, against one left alone."""
    make_faces(place)
    build_cache(place, place.device.type)
    for precision in ("float32", "bfloat16", "float16") if place.card else ("bfloat16",):
        train: dict[str, Any] = {"train__precision": precision, "train__deterministic": True, "train__epochs": 3}
        train |= {"train__checkpoint_minutes": 0, "train__lr": 0.1}
        command(*train_words(place.device.type, precision, **train)[1:])
        words = train_words(place.device.type, f"{precision}-killed", **train)
        stopped = killed_after_checkpoints(words, Path("runs", f"{precision}-killed", "checkpoints"), 2)
        command(*words[1:])
        whole, killed = (student(name) for name in (precision, f"{precision}-killed"))
        off = max(float((whole[key].double() - killed[key].double()).abs().max()) for key in whole)
        told = f"{precision}, killed after step {stopped}"
        yield at_most(f"{told}: largest difference of a weight", off, 0.0, "{:.0e}")
        a, b = losses_of(precision), losses_of(f"{precision}-killed")
        yield holds(f"{told}: losses", a == b, f"{sum(x == y for x, y in zip(a, b, strict=False))} equal", f"{len(a)}")
    if not place.card:
        yield needs_card("the cost of train.deterministic")
        return
    command(*train_words("cuda", "free", train__precision="bfloat16", train__epochs=3, train__checkpoint_minutes=0)[1:])
    pace = [np.median([line["faces_per_second"] for line in curve(name)[3:]]) for name in ("bfloat16", "free")]
    yield measured("pace with train.deterministic against that without", float(pace[0] / pace[1]), "{:.2f}")


def killed_after_checkpoints(words: list[str], folder: Path, number: int) -> int:
    """Start python WORDS, kill it as soon as the number-th checkpoint is there; the step of the newest one."""
    with Path("killed.txt").open("w") as output:
        process = subprocess.Popen([sys.executable, *words], stdout=output, stderr=output)
        began, seen = time.monotonic(), set[str]()
        while len(seen) < number:
            seen |= {path.name for path in folder.glob("step*.pt")}
            if process.poll() is not None:
                raise RuntimeError(f"ended with {process.returncode} before it could be killed: see killed.txt")
            if time.monotonic() - began > SECONDS_TO_A_CHECKPOINT:
                process.kill()
                raise RuntimeError(f"no {number} checkpoints within {SECONDS_TO_A_CHECKPOINT} s")
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    return max(int("".join(filter(str.isdigit, name))) for name in seen)


def student(name: str) -> dict[str, torch.Tensor]:
    """The exported weights of a run."""
    return dict(read_tensors(Path("runs", name, "student.safetensors")).tensors)


def evaluation(place: Place) -> Iterator[Finding]:
    """Runs in each precision on the device beside one on the CPU; then its student, measured on both."""
    make_faces(place)
    build_cache(place, "cpu")
    command(*train_words("cpu", "cpu")[1:])
    reference = losses_of("cpu", 5)
    bounds = {"float32": 1e-3, "bfloat16": 2e-2, "float16": 1e-1}  # a scaler leaves out first steps
    for precision in ("float32", "bfloat16", *(["float16"] if place.card else [])):
        command(*train_words(place.device.type, precision, train__precision=precision)[1:])
        off = worst_ratio(losses_of(precision, 5), reference)
        yield at_most(f"{precision}: the first five losses of a run against the CPU's", off, bounds[precision])
    words = ("evaluate", "run", *experiment_words(name="float32"), "--device")
    for report, device in (("report-cpu", "cpu"), ("report-device", place.device.type)):
        command(*words, device, "--out", report)
    on_cpu, on_device = numbers(Path("report-cpu")), numbers(Path("report-device"))
    alike = on_cpu.keys() == on_device.keys() and len(on_cpu) > 0
    yield holds("numbers of the two reports", alike, f"{len(on_device)}", f"{len(on_cpu)}")
    off = max((abs(value - on_device.get(key, np.inf)) for key, value in on_cpu.items()), default=np.inf)
    yield at_most(f"accuracy, EER and AUC of student and teacher on {place.device.type}", off, 0.01, "{:.4f}")
    if not place.card:
        yield needs_card("a student measured on the card")


def numbers(report: Path) -> dict[str, float]:
    """MODEL/SET.METRIC of a report, as fractions."""
    results = json.loads((report / "results.json").read_text())["results"]
    wanted = ("accuracy", "eer", "auc")
    return {
        f"{model}/{name}.{metric}": values[metric]
        for model, sets in results.items()
        for name, values in sets.items()
        for metric in wanted
        if metric in values
    }
