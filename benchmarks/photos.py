"""Aligning a folder of photos beside a plain loop of the detector.

    OMP_NUM_THREADS=1 python -m benchmarks.photos [--photos DATA/lfw/photos] [--data DATA] [--detectors yunet,mtcnn]

For each detector: faces found and missed, milliseconds a photo; then, in turns, photos a second of a core by

    detector   the detector alone, on pictures in memory
    loop       what one writes first: cv2.imread, detect, cv2.warpAffine, cv2.imwrite
    align      `python -m photos align --workers 1` without its start: the same in a folder, with table, reasons, resume

and align's share of the other two. Without --photos they are drawn: people of the demo in the middle of 640 x 480.
--count links the photos again until there are so many: a run's table costs some 20 ms, however many photos are in it.
--longest-side enlarges or shrinks the photos first. Everything is in the page cache.

    python -m benchmarks.photos --many 100000

times and weighs `align` of so many tiny photos, every tenth with given landmarks: the first run, one with nothing to
do, and one with ten new photos.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import click
import cv2
import numpy as np

from common.faces import encode_jpeg
from demo.faces import render_face
from photos.align import Task, Work, batches
from photos.aligned_names import stems
from photos.aligner import Aligner, search
from photos.detect import find_detector
from photos.faces_table import UNFINISHED, Parts
from photos.find import find_photos
from photos.transform import template, umeyama


def drawn(folder: Path, count: int) -> Path:
    """Photos of demo people, a face of 112 pixels in a picture of noise."""
    for number in range(count):
        small = np.random.default_rng(number).integers(0, 256, (12, 16, 3), np.uint8)
        picture = cv2.resize(small, (640, 480), interpolation=cv2.INTER_CUBIC)
        picture[180:292, 260:372] = render_face(number % 12, number // 12)
        path = folder / f"{number % 12}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(picture, 90))
    return folder


def resized(photos: Path, folder: Path, longest: int) -> Path:
    for photo in find_photos(photos).photos:
        picture = cv2.imread(str(photos / photo.path))
        share = longest / max(picture.shape[:2])
        path = folder / photo.path
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_CUBIC))
    return folder


def repeated(photos: Path, folder: Path, count: int) -> Path:
    """`count` photos, or all there are, which are links to those given."""
    given = find_photos(photos).photos
    for number in range(max(count, len(given))):
        photo = given[number % len(given)].path
        path = folder / f"{photo.rpartition('/')[0]}" / f"{number // len(given)}-{Path(photo).name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to((photos / photo).resolve())
    return folder


def many(folder: Path, count: int) -> None:
    """Seconds and peak memory of `align` over tiny photos, a hundred a person, of which every tenth has a face."""
    names = [f"{number // 100:05}/{number % 100:02}.jpg" for number in range(count + 10)]
    points = ",".join(f"{value:.1f}" for value in (template((112, 112)) * 0.25 + 1).ravel())
    heading = ",".join(["photo", *(f"{axis}{number}" for number in range(5) for axis in "xy")])
    (folder / "given.csv").write_text("\n".join([heading, *(f"{name},{points}" for name in names[::10])]))
    command = [sys.executable, "-m", "photos", "align", "in", "out", "--detector", "none", "--landmarks", "given.csv"]
    command += ["--min-face", "1", "--encoding", "jpg", "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    write_links(folder / "in", names[:count])
    for what in ("first run", "nothing to do", "ten new photos"):
        if what == "ten new photos":
            write_links(folder / "in", names[count:])
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        memory = usage.ru_maxrss / 1024  # the largest process's
        processor = usage.ru_utime + usage.ru_stime
        print(
            f"{count:,} photos, {what:14} {time.monotonic() - began:7.1f} s ({processor:.1f} s of processors), at most "
            f"{memory:,.0f} MiB a process",
            flush=True,
        )


def write_links(folder: Path, names: list[str]) -> None:
    """Links to one photo of 32 x 32; a new one a thousand, for disks count the links of a file."""
    content = encode_jpeg(np.full((32, 32, 3), 90, np.uint8))
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 1000 == 0:
            path.write_bytes(content)
            original = path
        else:
            os.link(original, path)


def alone(pictures: list[np.ndarray], aligner: Aligner) -> None:
    assert aligner.opened is not None
    for picture in pictures:
        search(aligner.opened, picture, aligner.longest)


def plain_loop(photos: Path, paths: list[str], aligner: Aligner, out: Path) -> None:
    assert aligner.opened is not None
    for number, path in enumerate(paths):
        picture = cv2.imread(str(photos / path))
        found = search(aligner.opened, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), aligner.longest)
        if len(found):
            matrix = umeyama(found.landmarks[0], template(aligner.size))
            cv2.imwrite(str(out / f"{number}.png"), cv2.warpAffine(picture, matrix, aligner.size[::-1]))


def ours(photos: Path, aligner: Aligner, out: Path) -> None:
    """What `align` does with one worker, in this process."""
    found = find_photos(photos).photos
    work, parts = Work(photos, out, aligner), Parts(out)
    parts.begin()
    tasks = [Task(photo, stem, None) for photo, stem in zip(found, stems(found), strict=True)]
    for rows in batches(((task, work(task)) for task in tasks), lambda number: None):
        parts.add(rows)
    parts.finish(photo.path for photo in found)
    assert not (out / UNFINISHED).exists()


def seconds(work: Callable[[Path], None], out: Path) -> float:
    began = time.process_time()
    work(out)
    return time.process_time() - began


def compare(name: Literal["yunet", "mtcnn"], photos: Path, data: Path, rounds: int) -> None:
    aligner = Aligner(name, find_detector(name, data))
    paths = [photo.path for photo in find_photos(photos).photos]
    pictures = [cv2.cvtColor(cv2.imread(str(photos / path)), cv2.COLOR_BGR2RGB) for path in paths]
    assert aligner.opened is not None
    found = sum(len(search(aligner.opened, picture, aligner.longest)) > 0 for picture in pictures)
    works: dict[str, Callable[[Path], None]] = {
        "detector": lambda out: alone(pictures, aligner),
        "loop": lambda out: plain_loop(photos, paths, aligner, out),
        "align": lambda out: ours(photos, aligner, out),
    }
    times: dict[str, list[float]] = {kind: [] for kind in works}
    for _ in range(rounds):
        for kind, work in works.items():
            with tempfile.TemporaryDirectory() as scratch:
                times[kind].append(seconds(work, Path(scratch)))
    best = {kind: statistics.median(values) / len(paths) for kind, values in times.items()}
    print(f"{name}: {found} of {len(paths)} photos with a face, {len(paths) - found} missed")
    for kind, each in best.items():
        spread = f"{min(times[kind]) / len(paths) * 1e3:.2f} to {max(times[kind]) / len(paths) * 1e3:.2f}"
        share = "" if kind == "align" else f", align's share of its speed {each / best['align']:.2f}"
        print(f"  {kind:9} {each * 1e3:7.2f} ms a photo ({spread}), {1 / each:6.1f} photos/s a core{share}")


@click.command()
@click.option("--photos", type=click.Path(path_type=Path, exists=True), help="A folder of photos; else drawn ones.")
@click.option("--data", type=click.Path(path_type=Path), default="data", help="Data root, for YuNet's weights.")
@click.option("--detectors", default="yunet,mtcnn")
@click.option("--longest-side", type=int, help="Bring the photos to it first.")
@click.option("--count", default=60, help="So many photos: drawn, or the given ones linked again.")
@click.option("--rounds", default=5)
@click.option("--many", "tiny", type=int, help="Instead: seconds and memory of `align` over so many tiny photos.")
def main(
    photos: Path | None,
    data: Path,
    detectors: str,
    longest_side: int | None,
    count: int,
    rounds: int,
    tiny: int | None,
) -> None:
    """Compare aligning with a plain loop of the detector."""
    if tiny:
        with tempfile.TemporaryDirectory() as scratch:
            return many(Path(scratch), tiny)
    cv2.setNumThreads(1)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} at the start; processor time, medians of {rounds} rounds")
    with tempfile.TemporaryDirectory() as scratch:
        folder = photos or drawn(Path(scratch) / "drawn", count)
        if longest_side:
            folder = resized(folder, Path(scratch) / "resized", longest_side)
        folder = repeated(folder, Path(scratch) / "repeated", count)
        for name in ("yunet", "mtcnn"):
            if name in detectors.split(","):
                compare(name, folder, data, rounds)


if __name__ == "__main__":
    main()
