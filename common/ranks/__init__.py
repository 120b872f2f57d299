"""How ranks find each other, learn that one of them failed, and end: nothing here imports torch, nor computes."""

from common.ranks.alarm import Alarm, Store
from common.ranks.launched import launched_rank, launched_ranks, rank_here, ranks_here, refuse_half_launched
from common.ranks.leash import leashed
from common.ranks.leaving import leaving_at_once

__all__ = [
    "Alarm",
    "Store",
    "launched_rank",
    "launched_ranks",
    "leashed",
    "leaving_at_once",
    "rank_here",
    "ranks_here",
    "refuse_half_launched",
]
