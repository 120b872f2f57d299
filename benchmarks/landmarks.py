"""How far detectors agree with each other and with themselves, and crops with published ones, on photos of LFW.

    python -m benchmarks.landmarks --data DATA      DATA/lfw/photos and DATA/golden/bins/lfw_folds12.bin

Distances between landmarks are shares of the distance between YuNet's eyes, a mean over the five points of a face.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import numpy as np

from common.faces import decode_rgb
from evaluate.files import load_bin
from photos.aligner import Aligner
from photos.detect import Detector, find_detector, open_detector
from photos.find import find_photos
from photos.picture import read_photo

_MARGIN = 0.1  # of a box's side, kept around a face that is cut out


def resized(rgb: np.ndarray, longest: int) -> tuple[np.ndarray, float]:
    share = longest / max(rgb.shape[:2])
    return cv2.resize(
        rgb, None, fx=share, fy=share, interpolation=cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
    ), share


def distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.linalg.norm(first - second, axis=1).mean() / np.linalg.norm(first[0] - first[1]))


def nearest(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The landmarks among faces (K,5,2) that lie nearest to some face's."""
    return faces[np.linalg.norm(faces - points, axis=2).mean(1).argmin()]


def tight(rgb: np.ndarray, box: np.ndarray) -> np.ndarray:
    margin = _MARGIN * (box[2:] - box[:2]).max()
    (x0, y0), (x1, y1) = np.maximum(box[:2] - margin, 0).astype(int), (box[2:] + margin).astype(int)
    return rgb[y0:y1, x0:x1]


def print_distances(photos: list[np.ndarray], yunet: Detector, mtcnn: Detector) -> None:
    between, itself = [], []
    for rgb in photos:
        points = yunet.faces(rgb).landmarks[0]
        enlarged, share = resized(rgb, 320)
        again = (yunet.faces(enlarged).landmarks + 0.5) / share - 0.5
        between.append(distance(points, nearest(points, mtcnn.faces(rgb).landmarks)))
        itself.append(distance(points, nearest(points, again)))
    for what, values in (("YuNet to MTCNN", between), ("YuNet to itself on photos of 320 pixels", itself)):
        print(f"{what}: median {np.median(values):.1%}, at most {max(values):.1%} of {len(values)} photos")


def print_small(photos: list[np.ndarray], yunet: Detector) -> None:
    boxes = [yunet.faces(rgb).boxes[0] for rgb in photos]
    sides = [float((box[2:] - box[:2]).min()) for box in boxes]
    for pixels in (6, 8, 10, 12, 16, 24):
        shrunk = [
            resized(rgb, round(max(rgb.shape[:2]) * pixels / side))[0] for rgb, side in zip(photos, sides, strict=True)
        ]
        found = sum(len(yunet.faces(rgb)) > 0 for rgb in shrunk)
        print(f"YuNet, photos shrunk until the face is {pixels} pixels wide: {found} of {len(photos)} found")


def print_large(photos: list[np.ndarray], yunet: Detector) -> None:
    boxes = [yunet.faces(rgb).boxes[0] for rgb in photos]
    for longest in (320, 640, 1024):
        cut = (resized(tight(rgb, box), longest)[0] for rgb, box in zip(photos, boxes, strict=True))
        found = sum(len(yunet.faces(rgb)) > 0 for rgb in cut)
        print(f"YuNet, faces cut out and enlarged to {longest}: {found} of {len(photos)} found")


def crop_differences(folder: Path, aligner: Aligner, bins: Path) -> Iterator[np.ndarray]:
    """|ours - theirs| of every photo that the set has, too."""
    names = json.loads(bins.with_suffix(".json").read_text())["images"]
    theirs = dict(zip(names, load_bin(bins)[0], strict=True))
    for path in (folder / photo.path for photo in find_photos(folder).photos):
        if path.stem in theirs:
            ours = next(face.rgb for face in aligner.faces(read_photo(path)) if face.rgb is not None)
            yield np.abs(ours.astype(int) - decode_rgb(bytes(theirs[path.stem]), path.stem))


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), default="data", show_default=True)
def main(data: Path) -> None:
    """Print how far landmarks and crops agree."""
    cv2.setNumThreads(1)
    folder, weights = data / "lfw" / "photos", find_detector("yunet", data)
    photos = [read_photo(folder / photo.path) for photo in find_photos(folder).photos]
    yunet = open_detector("yunet", weights)
    print_distances(photos, yunet, open_detector("mtcnn", find_detector("mtcnn", data)))
    print_small(photos, yunet)
    print_large(photos, yunet)
    bins = data / "golden" / "bins" / "lfw_folds12.bin"
    differences = list(crop_differences(folder, Aligner("yunet", weights), bins))
    means = [one.mean() for one in differences]
    print(f"crops of {len(differences)} photos of {bins.name}: median {np.median(differences):.0f} of 255 apart,")
    print(f"    mean of a face {min(means):.2f} to {max(means):.2f}")


if __name__ == "__main__":
    main()
