"""Faces in a picture: boxes, five sub-pixel landmarks, scores; by YuNet or MTCNN, or as somebody gives them.

    detector = open_detector("yunet", root)
    found = detector.faces(rgb)            uint8 (H,W,3) RGB -> boxes (K,4), landmarks (K,5,2), scores (K,)
"""

from photos.detect.found import Detector, Found
from photos.detect.published import DETECTORS, open_detector

__all__ = ["DETECTORS", "Detector", "Found", "open_detector"]
