"""Seeded views: what the teacher saw is what the student sees, a pure function of seed, sample and view number.

views = Views("randaugment", seed=0, count=8)
views.render(rgb, sample=17, view=1)
"""

from common.faces.views.arithmetic import at_resolution
from common.faces.views.policies import Views, pixel_digest
from common.faces.views.shown import view_numbers

__all__ = ["Views", "at_resolution", "pixel_digest", "view_numbers"]
