"""The recipes side by side on real faces: mean and spread over seeds, as the table of docs/results/lfw.md.

    make cache-teacher CONFIG=configs/lfw.toml DATA=...
    python benchmarks/methods.py --data ... [--seeds 3] [--threads 1]
    python benchmarks/methods.py --table            # what is there so far, no training

Each run is `python -m distill train` and `python -m evaluate run` on one experiment with another head and seed, in
runs/EXPERIMENT-RECIPE-seedN. A finished run is kept; an interrupted one goes on.
"""

import json
import statistics
import subprocess
import sys

import click

from common.config import Config, load_config

RECIPES = {
    "arcface": "standalone ArcFace",
    "arcdistill": "ArcFace, frozen cache centres",
    "adadistill-arcface": "AdaDistill + ArcFace",
    "adadistill-adaface": "AdaDistill + AdaFace",
    "adadistill-adaface-geometry": "AdaDistill + AdaFace + geometry, live",
    "adadistill-adaface-confidence": "AdaDistill + AdaFace + geometry, cached confidence",
}
COLUMNS = ("accuracy %", "TAR % @ FAR 1e-2", "AUC %")


@click.command()
@click.option("--config", "experiment", default="configs/lfw-short.toml", show_default=True)
@click.option("--data", default="data", show_default=True, help="Data root.")
@click.option("--seeds", default=3, show_default=True, help="Seeds 0, 1, ... of every recipe.")
@click.option("--threads", default=1, show_default=True)
@click.option("--table", "table_only", is_flag=True, help="Print the table of the runs that are finished.")
def main(experiment: str, data: str, seeds: int, threads: int, table_only: bool) -> None:
    runs = [(recipe, seed) for seed in range(seeds) for recipe in RECIPES]
    for recipe, seed in () if table_only else runs:
        run(experiment, recipe, seed, data, threads)
    print(table({recipe: results_of(experiment, recipe, seeds) for recipe in RECIPES}))


def overrides(experiment: str, recipe: str, seed: int) -> list[str]:
    name = f"{load_config(experiment).name}-{recipe}-seed{seed}"
    return [f"name={name}", f"head={recipe}", f"train.seed={seed}", "evaluate.teacher=false"]


def configured(experiment: str, recipe: str, seed: int) -> Config:
    return load_config(experiment, overrides(experiment, recipe, seed))


def run(experiment: str, recipe: str, seed: int, data: str, threads: int) -> None:
    folder = configured(experiment, recipe, seed).run_dir
    for stage, command, product in (
        ("distill", "train", folder / "student.safetensors"),
        ("evaluate", "run", folder / "evaluation" / "results.json"),
    ):
        if not product.exists():
            print(f"{folder.name}: {stage}", flush=True)
            settings = [word for value in overrides(experiment, recipe, seed) for word in ("--set", value)]
            where = ["--config", experiment, "--data", data, "--device", "cpu", "--threads", str(threads)]
            subprocess.run([sys.executable, "-m", stage, command, *where, *settings], check=True)


def results_of(experiment: str, recipe: str, seeds: int) -> list[tuple[float, ...]]:
    """Accuracy, TAR at FAR 1e-2 and AUC of every finished run, in percent."""
    found = []
    for seed in range(seeds):
        path = configured(experiment, recipe, seed).run_dir / "evaluation" / "results.json"
        if path.exists():
            ((result,),) = [sets.values() for sets in json.loads(path.read_text())["results"].values()]
            found.append((100 * result["accuracy"], 100 * result["tar_at_far"]["0.01"]["tar"], 100 * result["auc"]))
    return found


def table(results: dict[str, list[tuple[float, ...]]]) -> str:
    """Markdown: mean ± sample deviation over seeds, and every run's accuracy."""
    lines = ["| recipe | " + " | ".join(COLUMNS) + " | each seed's accuracy |", "|---" * (len(COLUMNS) + 2) + "|"]
    for recipe, rows in results.items():
        cells = [
            f"{statistics.mean(column):.2f} ± {statistics.stdev(column):.2f}" if len(column) > 1 else f"{column[0]:.2f}"
            for column in zip(*rows, strict=True)
        ] or ["-"] * len(COLUMNS)
        each = ", ".join(f"{row[0]:.2f}" for row in rows)
        lines.append(f"| `{recipe}`: {RECIPES[recipe]} | " + " | ".join(cells) + f" | {each} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
