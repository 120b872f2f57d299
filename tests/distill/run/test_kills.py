"""Twenty times kill -9 at random moments of a tiny training, which then ends as if nothing had happened."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.distill.small_runs import curves, equal, final_state, run, start

KILLS = 20
# Enough steps that no run ends before its last kill.
OPTIONS = {"epochs": 16, "checkpoint_minutes": 0, "log_every": 1, "ema": 0.9}


def newest(name: str) -> int:
    """The step of the newest checkpoint, 0 where there is none."""
    return max((int(path.stem[4:]) for path in Path(f"runs/{name}/checkpoints").glob("step*.pt")), default=0)


def weights(name: str) -> bytes:
    """The exported tensors' bytes, without the header, whose keys safetensors writes in any order."""
    content = Path(f"runs/{name}/student.safetensors").read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]


@pytest.mark.slow
def test_twenty_kills_leave_weights_centres_and_curves_of_an_undisturbed_run(cached):
    began = time.perf_counter()
    run("whole", train=OPTIONS)
    seconds = (time.perf_counter() - began) / newest("whole")
    moments, reached = random.Random(7), []
    for kill in range(KILLS):
        process = start("killed", train={**OPTIONS, "workers": kill % 3})
        # Any moment from the start-up to a few steps on, in a step or in the writing of a checkpoint.
        goal = newest("killed") + moments.randrange(4)
        while process.is_alive() and newest("killed") < goal:
            time.sleep(0.001)
        process.join(moments.uniform(0, 2 * seconds))
        assert process.exitcode is None, "it ended before it was killed"
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        reached.append(newest("killed"))
    print(f"killed after steps {reached}")

    run("killed", train=OPTIONS)
    assert weights("killed") == weights("whole")
    assert equal(final_state("killed"), final_state("whole"))
    assert curves("killed") == curves("whole")
    assert not list(Path("runs/killed").rglob("*.tmp"))
