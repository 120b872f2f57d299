"""Faces in a picture: boxes, five sub-pixel landmarks, scores; by YuNet or MTCNN, or as somebody gives them.

weights = find_detector("yunet", root)
found = open_detector("yunet", weights).faces(rgb)     uint8 (H,W,3) RGB -> boxes (K,4), landmarks (K,5,2), scores (K,)
"""

from photos.detect.found import Detector, Found, nothing
from photos.detect.given import read_landmarks
from photos.detect.published import Name, find_detector, open_detector

__all__ = ["Detector", "Found", "Name", "find_detector", "nothing", "open_detector", "read_landmarks"]
