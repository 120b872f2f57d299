"""Several ranks: NCCL on cards, gloo on a CPU."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.demo_faces import build_cache, command, losses_of, make_faces, train_words, worst_ratio
from benchmarks.gpu.finding import Finding, at_most, holds, needs_card
from benchmarks.gpu.place import Place

PROGRAM = "benchmarks.gpu.collective_ranks"
SECONDS_TO_END = 20


def number_of(place: Place) -> int:
    """Ranks that may compute together here: the cards, or two on a CPU."""
    return place.cards if place.card else 2


def collectives(place: Place) -> Iterator[Finding]:
    """With one rank, and with all of them."""
    backend = "NCCL" if place.card else "gloo"
    for ranks in dict.fromkeys((1, number_of(place))):
        said = command(PROGRAM, "sums", "--device", place.device.type, ranks=ranks)
        told = f"OK {ranks} ranks by {backend.lower()}"
        yield holds(f"{backend}, {ranks} rank(s): sums, gathers, broadcasts", told in said, told, told)
    if not place.card:
        yield needs_card("NCCL with one rank")
    if place.cards < 2:
        yield needs_card("NCCL with several ranks", 2)


def several_ranks(place: Place) -> Iterator[Finding]:
    """The same global batch over one rank and over all: the first losses, with centres whole and split."""
    ranks = number_of(place)
    if ranks > 1:
        make_faces(place)
        build_cache(place, place.device.type)
        train = {"train__sync_batchnorm": True, "train__epochs": 1}
        command(*train_words(place.device.type, "one", train__batch_size=8 * ranks, **train)[1:])
        reference = losses_of("one", 5)
        for name, split in (("whole", False), ("split", True)):
            words = train_words(place.device.type, name, train__batch_size=8, head__split_classes=split, **train)
            command(*words[1:], ranks=ranks)
            off = worst_ratio(losses_of(name, 5), reference)
            yield at_most(f"{ranks} ranks, centres {name}: five losses against one rank's", off, 1e-3)
    if place.cards < 2:
        yield needs_card("several cards train together", 2)


def failure(place: Place) -> Iterator[Finding]:
    """Of two ranks the second fails while the first waits for it in a sum."""
    devices = ["cpu", *(["cuda"] if place.cards > 1 else [])]
    for device in devices:
        backend = "NCCL" if device == "cuda" else "gloo"
        words = ["common.launch", "--standalone", "--nproc_per_node=2", "-m", PROGRAM, "fail", "--device", device]
        done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
        ended = time.time()
        print(done.stdout, done.stderr, sep="\n", flush=True)
        took = ended - float(Path("failed.txt").read_text())
        yield at_most(f"{backend}: seconds from a rank's failure to the job's end", took, SECONDS_TO_END, "{:.1f}")
        yield holds(f"{backend}: exit status", done.returncode != 0, str(done.returncode), "not 0")
        lines = [line for line in done.stderr.splitlines() if "on purpose" in line]
        yield holds(f"{backend}: lines that say why", len(lines) == 1, str(len(lines)), "1")
    if place.cards < 2:
        yield needs_card("a rank of NCCL that fails", 2)
