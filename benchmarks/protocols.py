"""Evaluation at full size, on random embeddings, beside a plain implementation of the same protocols.

    python benchmarks/protocols.py                     all of it: 5 minutes, 12 GB of memory for the plain TinyFace
    python benchmarks/protocols.py --only ijb --pairs any
    python benchmarks/protocols.py --scale 0.02        a small version of everything, in seconds

IJB-C's size is 469,375 rows of 23,124 templates and 15,658,489 pairs, here of enrolment with probe templates as in
the protocol (`--pairs any`: of any two templates). Each implementation runs in a process of its own, one after the
other; seconds are those of the evaluation alone (in brackets the processor's, all threads: what to compare on a machine
with other work), memory is the peak of the whole process, embeddings included.

The plain implementations follow the protocols' descriptions step by step: template after template, all scores of
the pairs in float64, a complete sorted similarity matrix, threshold after threshold.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.spread import ratio_text
from evaluate.protocols import FARS, evaluate_templates, evaluate_tinyface, ten_fold

ROOT = Path(__file__).parents[1]

DIM = 512
POOLINGS = {"N1D1": (True, True), "N1D0": (True, False), "N0D1": (False, True)}


def noisy(people: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """(R,512) float32 rows around their person's centre, of varying length, made in blocks."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((int(people.max()) + 1, DIM), np.float32)
    rows = np.empty((len(people), DIM), np.float32)
    for start in range(0, len(rows), 8192):
        block = slice(start, start + 8192)
        rows[block] = centers[people[block]] + noise * rng.standard_normal(rows[block].shape, np.float32)
        rows[block] *= rng.uniform(0.5, 2, (len(rows[block]), 1)).astype(np.float32)
    return rows


def ijb(scale: float, pairs: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """IJB-C's counts times `scale`: enrolment templates 0 .. E-1, one a person, then probe templates."""
    rows, templates, wanted, enrolled, genuine = (
        max(40, int(scale * count)) for count in (469_375, 23_124, 15_658_489, 3_531, 19_557)
    )
    rng = np.random.default_rng(0)
    person = np.append(np.arange(enrolled), rng.integers(0, enrolled, templates - enrolled))
    template = rng.permutation(np.append(np.arange(templates), rng.integers(0, templates, rows - templates)))
    ids = np.sort(rng.choice(4 * templates, templates, replace=False))
    first = rng.integers(0, enrolled if pairs == "protocol" else templates, wanted, dtype=np.int32)
    low = enrolled if pairs == "protocol" else 0
    second = rng.integers(low, templates, wanted, dtype=np.int32)
    mates = rng.choice(np.arange(enrolled, templates), min(genuine, templates - enrolled), replace=False)
    first[: len(mates)], second[: len(mates)] = person[mates], mates
    shuffled = rng.permutation(wanted)
    first, second = first[shuffled], second[shuffled]
    meta = {
        "templates": ids[template],
        "medias": rng.integers(0, 12, rows),
        "faceness_scores": rng.uniform(0.3, 1, rows).astype(np.float32),
        "p1": ids[first].astype(np.int32),
        "p2": ids[second].astype(np.int32),
        "label": (person[first] == person[second]).astype(np.int8),
    }
    return noisy(person[template], 8.0, seed=1), meta


def tinyface(scale: float, pairs: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    probes, mates, distractors = (max(10, int(scale * count)) for count in (3_728, 4_443, 153_428))
    people = np.arange(mates) % max(2, mates * 2569 // 4443)
    probe_people = np.random.default_rng(0).choice(people, probes)
    meta = {
        "probe_paths": np.array([f"p/{person}_9{number}.jpg" for number, person in enumerate(probe_people)], object),
        "gallery_paths": np.array([f"g/{person}_{number}.jpg" for number, person in enumerate(people)], object),
        "distractor_paths": np.array([f"d/-1_{number:06}.jpg" for number in range(distractors)], object),
    }
    meta["image_paths"] = np.concatenate(list(meta.values()))
    return noisy(np.concatenate([probe_people, people, mates + np.arange(distractors)]), 3.0, seed=1), meta


def pair_set(scale: float, pairs: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    count = max(60, int(scale * 6000))
    same = np.arange(count) * 20 // count % 2 == 0
    people = np.arange(2 * count).reshape(count, 2)
    people[same, 1] = people[same, 0]
    return noisy(people.ravel(), 1.5, seed=1), {"issame": same}


def plain_ijb(embeddings: np.ndarray, meta: dict[str, np.ndarray]) -> list[float]:
    from sklearn.metrics import roc_curve

    rates = []
    ids = np.unique(meta["templates"])
    for keep_length, use_detection in POOLINGS.values():
        rows = embeddings if keep_length else embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        if use_detection:
            rows = rows * meta["faceness_scores"][:, None]
        pooled = np.zeros((len(ids), DIM))
        for number, template in enumerate(ids):
            mine = np.where(meta["templates"] == template)[0]
            media = meta["medias"][mine]
            pooled[number] = sum(rows[mine[media == medium]].mean(axis=0) for medium in np.unique(media))
        pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
        place = np.zeros(ids[-1] + 1, np.int64)
        place[ids] = np.arange(len(ids))
        scores = np.zeros(len(meta["p1"]))
        for start in range(0, len(scores), 100_000):
            block = slice(start, start + 100_000)
            scores[block] = np.sum(pooled[place[meta["p1"][block]]] * pooled[place[meta["p2"][block]]], axis=-1)
        far, tar, _ = roc_curve(meta["label"], scores)
        for target in FARS:
            distance = np.abs(far - target)
            rates.append(float(tar[len(far) - 1 - np.argmin(distance[::-1])]))
    return rates


def ours_ijb(embeddings: np.ndarray, meta: dict[str, np.ndarray]) -> list[float]:
    result = evaluate_templates(embeddings, meta)
    return [result.poolings[letters].tar_at_far[far].tar for letters in POOLINGS for far in FARS]


def plain_tinyface(embeddings: np.ndarray, meta: dict[str, np.ndarray]) -> list[float]:
    import torch

    rows = torch.from_numpy(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True))
    name = [path.split("/")[1] for path in meta["image_paths"]]
    row = {each: number for number, each in enumerate(name)}
    gallery = [path.split("/")[1] for path in (*meta["gallery_paths"], *meta["distractor_paths"])]
    probes = [path.split("/")[1] for path in meta["probe_paths"]]
    people = torch.tensor([-100 if each.startswith("-") else int(each.split("_")[0]) for each in gallery])
    mine = torch.tensor([int(each.split("_")[0]) for each in probes])
    similarity = rows[[row[each] for each in probes]] @ rows[[row[each] for each in gallery]].T
    order = torch.sort(similarity, dim=1, descending=True).indices
    return [float((people[order[:, :k]] == mine[:, None]).any(dim=1).double().mean()) for k in (1, 5, 20)]


def ours_tinyface(embeddings: np.ndarray, meta: dict[str, np.ndarray]) -> list[float]:
    return list(evaluate_tinyface(embeddings, meta).rank.values())


def plain_pair_set(embeddings: np.ndarray, meta: dict[str, np.ndarray]) -> list[float]:
    rows = embeddings.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    distance, same = np.sum(np.square(rows[0::2] - rows[1::2]), axis=1), meta["issame"]
    folds = np.array_split(np.arange(len(same)), 10)
    accuracy, val = [], []
    for held_out in folds:
        train = np.setdiff1d(np.arange(len(same)), held_out)
        thresholds = np.arange(0, 4, 0.01)
        right = [np.mean((distance[train] < threshold) == same[train]) for threshold in thresholds]
        accuracy.append(np.mean((distance[held_out] < thresholds[np.argmax(right)]) == same[held_out]))
        thresholds = np.arange(0, 4, 0.001)
        far = np.array([np.mean(distance[train][~same[train]] < threshold) for threshold in thresholds])
        before, after = np.flatnonzero(far <= 1e-3)[-1], np.flatnonzero(far > 1e-3)[0]
        share = (1e-3 - far[before]) / (far[after] - far[before])
        cut = thresholds[before] + share * (thresholds[after] - thresholds[before])
        val.append(np.mean(distance[held_out][same[held_out]] < cut))
    return [float(np.mean(accuracy)), float(np.mean(val))]


def ours_pair_set(embeddings: np.ndarray, meta: dict[str, np.ndarray]) -> list[float]:
    result = ten_fold(embeddings[0::2], embeddings[1::2], meta["issame"])
    return [result.accuracy, result.val]


WORK = {
    "ijb": ("IJB-C 1:1, three poolings", ijb, plain_ijb, ours_ijb),
    "tinyface": ("TinyFace, ranks 1/5/20", tinyface, plain_tinyface, ours_tinyface),
    "bin": (".bin, 6,000 pairs, 10 folds", pair_set, plain_pair_set, ours_pair_set),
}


def peak_gib() -> float:
    # VmHWM, not ru_maxrss: a new process starts with that of its parent
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / (1 << 20)


def child(name: str, whose: str, scale: float, pairs: str) -> None:
    _, make, plain, ours = WORK[name]
    if whose == "plain":  # imports are not part of what is timed
        import sklearn.metrics  # noqa: F401
        import torch  # noqa: F401
    embeddings, meta = make(scale, pairs)
    made = peak_gib()
    started, cpu = time.perf_counter(), time.process_time()
    rates = (plain if whose == "plain" else ours)(embeddings, meta)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(json.dumps({"rates": rates, "seconds": seconds, "cpu": cpu, "gib": peak_gib(), "data_gib": made}))


def median_run(runs: list[dict]) -> dict:
    """The one of several equal runs that took the median of seconds."""
    return sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]


@click.command(help=__doc__)
@click.option("--only", type=click.Choice(list(WORK)), help="one protocol instead of all")
@click.option("--whose", type=click.Choice(["both", "ours"]), default="both", help="leave the plain ones out")
@click.option("--scale", default=1.0, show_default=True, help="share of the full counts")
@click.option("--pairs", type=click.Choice(["protocol", "any"]), default="protocol", show_default=True)
@click.option("--rounds", default=3, show_default=True, help="of which the median counts")
@click.option("--child", "inner", nargs=2, hidden=True)
def main(only: str | None, whose: str, scale: float, pairs: str, rounds: int, inner: tuple[str, str] | None) -> None:
    if inner:
        child(*inner, scale, pairs)
        return
    table = Table(
        "work", "plain s", "plain GiB", "ours s", "ours GiB", "of it data", "times faster", "largest deviation"
    )
    for name in [only] if only else WORK:
        sides = ("ours", "plain") if whose == "both" else ("ours",)
        runs: dict[str, list[dict]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side in sides:
                command = [sys.executable, __file__, "--scale", str(scale), "--pairs", pairs, "--child", name, side]
                ran = subprocess.run(command, check=True, capture_output=True, text=True)
                runs[side].append(json.loads(ran.stdout))
        ours, plain = (median_run(runs[side]) if side in runs else None for side in ("ours", "plain"))
        assert ours is not None
        row = [WORK[name][0]]
        row += [f"{plain['seconds']:.2f} ({plain['cpu']:.2f})", f"{plain['gib']:.2f}"] if plain else ["", ""]
        row += [f"{ours['seconds']:.3f} ({ours['cpu']:.3f})", f"{ours['gib']:.2f}", f"{ours['data_gib']:.2f}"]
        if plain:
            deviation = max(abs(a - b) for a, b in zip(ours["rates"], plain["rates"], strict=True))
            faster = ratio_text(*([run["seconds"] for run in runs[side]] for side in ("plain", "ours")))
            row += [faster, f"{deviation:.1e}"]
        table.add_row(*row)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
