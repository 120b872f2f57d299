"""Sets made of aligned faces and of other people's packages: pairs, LFW's recipe, IJB-B and IJB-C, TinyFace."""

from photos.sets.ijb import write_ijb
from photos.sets.lfw import find_photos, make_lfw, pairs_beside
from photos.sets.pairs import write_pairs
from photos.sets.tinyface import write_tinyface

__all__ = ["find_photos", "make_lfw", "pairs_beside", "write_ijb", "write_pairs", "write_tinyface"]
