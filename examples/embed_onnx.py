"""Are two photos of one person? An exported model, numpy, onnxruntime and OpenCV; nothing of this repository.

python embed_onnx.py model.onnx face_detection_yunet_2023mar.onnx a.jpg b.jpg [COSINE]
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

# Where eyes, nose and corners of the mouth lie in a face of 112 x 112: the field's template, x and y.
X, Y = [38.2946, 73.5318, 56.0252, 41.5493, 70.7299], [51.6963, 51.5014, 71.7366, 92.3655, 92.2041]


def landmarks(photo: np.ndarray, yunet: str) -> np.ndarray:
    """(5,2) x and y in a BGR photo, of the face that YuNet is surest of."""
    height, width = photo.shape[:2]
    _, faces = cv2.FaceDetectorYN.create(yunet, "", (width, height)).detect(photo)
    if faces is None:
        sys.exit("no face found")
    return max(faces, key=lambda face: face[14])[4:14].reshape(5, 2)


def align(photo: np.ndarray, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The face, turned and scaled by least squares so that its points meet the template: (height, width, 3)."""
    wanted = np.c_[X, Y] - [(112 - size[1]) / 2, (112 - size[0]) / 2]
    p, q = (points - points.mean(0)) @ [1, 1j], (wanted - wanted.mean(0)) @ [1, 1j]  # a plane is the complex numbers
    turn = np.vdot(p, q) / np.vdot(p, p)
    matrix = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return cv2.warpAffine(photo, np.c_[matrix, wanted.mean(0) - matrix @ points.mean(0)], size[::-1])


def embed(session: onnxruntime.InferenceSession, contract: dict, face: np.ndarray) -> np.ndarray:
    """(D,) unit embedding of an aligned BGR face; its mirror image is added, unless thresholds are of single faces."""
    single = contract["flip"] or (contract.get("thresholds") or {}).get("protocol") == "single"
    faces = np.stack([face] if single else [face, face[:, ::-1]])[..., ::-1]
    pixels = faces if contract["layout"] == "NHWC" else faces.transpose(0, 3, 1, 2).astype(np.float32)
    rows = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(pixels)})[0].sum(0)
    return rows / np.linalg.norm(rows)


def main(model: str, yunet: str, first: str, second: str, cosine: str | None = None) -> None:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    contract = json.loads(session.get_modelmeta().custom_metadata_map["face_teacher_cache"])
    beside = Path(f"{model}.thresholds.json")
    if beside.exists():  # an int8 file's own
        contract["thresholds"] = json.loads(beside.read_text())
    photos = [cv2.imread(name) for name in (first, second)]
    faces = [align(photo, landmarks(photo, yunet), contract["size"]) for photo in photos]
    found = float(np.dot(*(embed(session, contract, face) for face in faces)))
    known = (contract.get("thresholds") or {}).get("rows", [])
    threshold = float(cosine) if cosine else min(known, key=lambda row: row["far"])["threshold"] if known else None
    verdict = "no threshold known: give one" if threshold is None else "same" if found > threshold else "different"
    print(f"cosine {found:.4f}, threshold {threshold}: {verdict}")


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) in (5, 6) else sys.exit(__doc__)
