"""Face networks, teachers and students alike, by the name an experiment file calls them.

build_backbone("mobilefacenet_0.5", 128)     (B,3,112,112) in [-1,1] -> (B,128), not normalised
"""

from common.backbones.deduce import deduce_backbone
from common.backbones.mobilefacenet import GNAP
from common.backbones.prelu import PReLU
from common.backbones.registry import backbone_names, backbone_size, build_backbone

__all__ = ["GNAP", "PReLU", "backbone_names", "backbone_size", "build_backbone", "deduce_backbone"]
