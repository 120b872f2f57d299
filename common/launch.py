"""torchrun that is silent where its ranks have spoken.

python -m common.launch --standalone --nproc_per_node=4 -m cache build --config configs/ms1mv2.toml

Takes torchrun's options. What fails is said once, by the first rank that fails (common/failures.py); torchrun itself,
which goes on to print a table of all ranks and its own traceback, may be used as well. With the first the other ranks
of its machine are ended, by SIGTERM, and by SIGKILL where that is not enough.
"""

import logging
import os
import signal
import sys

import click

SHUTDOWN_SECONDS = 5


def main(arguments: list[str]) -> int:
    """Run ranks; the exit status of the first that failed, 128 and the signal's number for one that was killed."""
    # torchrun reads it; its own 30 s are a long time to look at a job that has failed.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SHUTDOWN_SECONDS))
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable(logging.ERROR)  # of this process: its loggers set levels of their own
    try:
        torchrun.run(torchrun.parse_args(arguments))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            return failure.exitcode
        name = signal.Signals(-failure.exitcode).name
        click.echo(f"Error: rank {rank} was ended by {name}: is memory short? Run again, it goes on", err=True)
        return 128 - failure.exitcode
    except SignalException as stopped:
        return 128 + stopped.sigval
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
