"""What a launcher says in the environment of each process that it starts: its number, and how many there are.

torchrun and common/launch.py start ranks, which compute together (WORLD_SIZE). common/processes.py and the arrays of a
cluster start processes that only share work: they have numbers (RANK, LOCAL_RANK), and WORLD_SIZE is not set.
"""

import os

from common.errors import ConfigError

_REMEDY = "start ranks by `python -m common.launch` or torchrun, or unset WORLD_SIZE"


def launched_rank() -> int:
    """Number of this process among those that a launcher started, whether or not they are a group; 0 without one."""
    return _number("RANK", 0)


def launched_ranks() -> int:
    """How many ranks were started, before they have joined; 1 without a launcher."""
    return _number("WORLD_SIZE", 1)


def rank_here() -> int:
    """Number of this process among those of this machine; 0 without a launcher."""
    return _number("LOCAL_RANK", 0)


def ranks_here() -> int:
    """How many were started on this machine; where a launcher does not say, as many as this one's number asks for."""
    return _number("LOCAL_WORLD_SIZE", rank_here() + 1)


def refuse_half_launched() -> None:
    """Raises ConfigError for ranks that could never find each other, or two of which would be the same one."""
    ranks = launched_ranks()
    gone = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if ranks > 1 and gone:
        raise ConfigError(f"WORLD_SIZE={ranks}, but {', '.join(gone)} not set: {_REMEDY}")
    for name, number, of, count in (
        ("RANK", launched_rank(), "WORLD_SIZE", ranks),
        ("LOCAL_RANK", rank_here(), "LOCAL_WORLD_SIZE", ranks_here()),
    ):
        if number >= count:
            raise ConfigError(f"{name}={number}, but {of}={count}, so it is {count - 1} at most: {_REMEDY}")


def _number(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"{name}={text}: not a whole number: {_REMEDY}")
    return int(text)
