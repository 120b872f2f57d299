"""The whole path on procedural faces: data, teacher cache, a distilled student, the same student alone, one table, one
page."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from ablate.page import write_page
from ablate.points import Expansion, PlannedRun
from ablate.results import study_of
from ablate.statistics import verdicts
from cache.build import build
from common.config import Config, load_config
from common.faces import open_faces
from common.models import open_model
from common.runtime import set_threads
from demo.dataset import make_data
from distill.train import train
from evaluate.experiment import open_models, verification_sets
from evaluate.protocols import VerificationResult
from evaluate.report import write_report
from evaluate.run import evaluate_models

ROOT = Path(".")
DISTILLED, ALONE = "configs/demo.toml", "configs/demo-alone.toml"
REPORT = Path("runs/demo")
WITH, WITHOUT = "distilled student", "student alone"
_HEAD = ((("head", "centers"), "distilled"), (("head", "margin"), "adaface"), (("head", "geometry"), "live"))

# Per seed, for each model by its name in the table.
Rows = list[tuple[int, str, VerificationResult]]


def run_demo(seeds: int) -> Rows:
    """Everything once a seed, from nothing; prints the table and returns its rows."""
    rows: Rows = []
    for seed in range(seeds):
        rows += run_seed(seed)
    console = Console(width=None if Console().is_terminal else 120)
    console.print(table(rows))
    console.print(f"reports and ROC plots in {REPORT}", highlight=False)
    with _timed("page"):
        page = write_demo_page(seeds)
    console.print(f"all of it on one page: {page}", highlight=False)
    return rows


def write_demo_page(seeds: int) -> Path:
    """What the students of all seeds say, with and without the teacher, as one page; its path.

    The runs of one seed are on the same people, those of another on others.
    """
    runs = [
        PlannedRun(name, "", {}, seed, changes, experiment(path, seed), "")
        for seed in range(seeds)
        for name, path, changes in ((WITH, DISTILLED, _HEAD), (WITHOUT, ALONE, ()))
    ]
    hypothesis = "A student distilled from the teacher's cache knows new people better than the same student alone"
    commands = [f"make demo SEEDS={seeds}"] * len(runs)
    study = study_of("demo", hypothesis, Expansion(runs, WITHOUT), commands, ("unseen.accuracy", "unseen.tar@1e-2"))
    judged = [verdict for metric in study.metrics for verdict in verdicts(study, metric)]
    if seeds > 1:  # whose pairs are others', too: no pair is drawn anew for all of them
        judged = [replace(verdict, over_pairs=None) for verdict in judged]
    [page] = write_page(study, judged, REPORT, command=commands[0])
    return page


def run_seed(seed: int) -> Rows:
    """Other people, other photos, other initial weights; the same teacher."""
    distilled, alone = experiment(DISTILLED, seed), experiment(ALONE, seed)
    for folder in (distilled.cache_dir, distilled.run_dir, alone.run_dir):
        shutil.rmtree(folder, ignore_errors=True)
    threads, cpu = set_threads(None, 1), torch.device("cpu")
    with _timed("faces"):
        make_data(ROOT / distilled.faces.path, seed)
    with _timed("teacher cache"):
        assert distilled.teacher is not None
        teacher = open_model(distilled.teacher, ROOT, "cpu", threads)
        build(distilled, open_faces(distilled, ROOT), teacher, threads)
    with _timed("student with the teacher"):
        train(distilled, ROOT, cpu, threads)
    with _timed("student without"):
        train(alone, ROOT, cpu, threads)
    with _timed("evaluation"):
        models = open_models([distilled, alone], ROOT, "cpu", threads)
        sets = verification_sets([distilled], ROOT)
        done = evaluate_models(models, sets, REPORT / f"seed{seed}", distilled.evaluate)
    *students, teacher_name = models
    for config, student in zip((distilled, alone), students, strict=True):
        own = {name: done.results[name] for name in (student, teacher_name)}
        write_report(own, config.run_dir / "evaluation")
    rows: Rows = []
    for name, model in zip((WITH, WITHOUT, "teacher"), models, strict=True):
        (result,) = done.results[model].values()
        assert isinstance(result, VerificationResult)
        rows.append((seed, name, result))
    return rows


def experiment(path: str, seed: int) -> Config:
    """A demo recipe for one seed: its own people, its own initial weights, its own folders."""
    name = Path(path).stem
    folder = f"data/demo/seed{seed}"
    changes = {
        "name": f"{name}-seed{seed}",
        "faces.path": folder,
        "cache.path": f"caches/demo-seed{seed}",
        "train.seed": seed,
        "evaluate.sets": f'{{unseen = "{folder}/unseen.bin"}}',
    }
    return load_config(path, [f"{key}={value}" for key, value in changes.items()])


def table(rows: Rows) -> Table:
    """Accuracy, TAR@FAR, EER and AUC of each model and seed, on people none of them was trained on."""
    out = Table(title="Verification of people that no model was trained on")
    for heading in ("seed", "model", "accuracy %", "TAR % @ FAR 1e-2", "EER %", "AUC %"):
        out.add_column(heading, justify="left" if heading == "model" else "right")
    for seed, name, result in rows:
        out.add_row(
            str(seed),
            name,
            f"{100 * result.accuracy:.2f} ± {100 * result.accuracy_std:.2f}",
            f"{100 * result.tar_at_far[1e-2].tar:.2f}",
            f"{100 * result.eer:.2f}",
            f"{100 * result.auc:.2f}",
        )
    return out


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.perf_counter()
    print(f"== {what}", flush=True)
    yield
    print(f"== {what}: {time.perf_counter() - began:.0f} s", flush=True)
