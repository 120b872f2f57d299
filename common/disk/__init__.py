"""What comes from a disk before it is asked for: memory there is for it, what the page cache has, reading ahead."""

from common.disk.read_ahead import Group, ReadAhead
from common.disk.stretches import Stretch

__all__ = ["Group", "ReadAhead", "Stretch"]
