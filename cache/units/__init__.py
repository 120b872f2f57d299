"""Units of stage one, one view of one shard each: claimed among processes, rendered, computed; and who is at it."""

from cache.units.compute import compute_units
from cache.units.open_units import OpenUnits
from cache.units.render import rendered
from cache.units.status import describe_work

__all__ = [
    "OpenUnits",
    "compute_units",
    "describe_work",
    "rendered",
]
