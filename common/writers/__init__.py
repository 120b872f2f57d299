"""Who may write a folder: one writer alone, or many processes, on any machines, that claim its parts one by one."""

from common.writers.claims import STALE_SECONDS, Claims, at_work, claimed_parts, workers_of
from common.writers.folders import new_folder
from common.writers.locks import only_writer, refuse_busy
from common.writers.workers import Worker

__all__ = [
    "STALE_SECONDS",
    "Claims",
    "Worker",
    "at_work",
    "claimed_parts",
    "new_folder",
    "only_writer",
    "refuse_busy",
    "workers_of",
]
