"""int8 that holds: static quantisation in QDQ form, calibrated on training faces, with an eye on every layer.

faces = calibration_faces(config, root, count=256, size=(112, 112))
found = choose_floats(graph, ranges_of(graph, faces), held_out, limits)
compacted(found.graph)                       # layers that hurt most are float again
"""

from export.quantise.calibration import Method, calibration_faces, ranges_of
from export.quantise.compact import compacted
from export.quantise.search import Ends, agreement, choose_floats, embedded

__all__ = ["Ends", "Method", "agreement", "calibration_faces", "choose_floats", "compacted", "embedded", "ranges_of"]
