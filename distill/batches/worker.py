"""A process that makes batches for the training, in memory that both see; a pipe says which, and when it is done."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection

import cv2
import torch

from common.errors import UserError
from distill.batches.epochs import Wanted
from distill.batches.face_batches import FaceBatches
from distill.batches.ring import Slot

# Forked: labels, index and file names are there without a copy, and it has started within milliseconds.
FORK = multiprocessing.get_context("fork")
END_SECONDS = 2.0  # for a process to end, and for the system to say how


class Worker:
    """A process, and this end of its pipe. Batches come in the order in which they were asked for."""

    def __init__(self, faces: FaceBatches, slots: list[Slot], others: Sequence["Worker"]) -> None:
        """others: those started before, whose pipes the new process would keep open."""
        self.pipe, far_end = FORK.Pipe()
        inherited = [self.pipe, *(other.pipe for other in others)]
        self.process = FORK.Process(target=_work, args=(faces, slots, far_end, inherited), daemon=True)
        with _one_opencv_thread():
            self.process.start()
        far_end.close()

    def ask(self, slot: int, epoch: int) -> None:
        """Have the batch made whose numbers stand in a slot; returns at once."""
        try:
            self.pipe.send((slot, epoch))
        except OSError:
            raise self.death() from None

    def wait(self) -> None:
        """Wait for the batch that was asked for first. Raises its UserError, or one for the end of the process."""
        try:
            error: UserError | None = self.pipe.recv()
        except (EOFError, OSError):
            raise self.death() from None
        if error is not None:
            raise error

    def death(self) -> UserError:
        """Why a process is gone that nobody told to go."""
        self.process.join(END_SECONDS)
        return UserError(death_text(self.process.pid or 0, self.process.exitcode))

    def end(self) -> None:
        """End the process, whatever it is doing; it has nothing to lose."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(END_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Around a fork: the child has one too. Told of it later, it would wait for the pool's threads, which it lacks."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def death_text(pid: int, code: int | None) -> str:
    """One line for a process that ended with this code, as multiprocessing counts: below 0 by a signal."""
    if code is not None and code < 0:
        how = f"was ended by signal {-code} ({signal.strsignal(-code)})"
        cause = ", as the system does when memory runs out (then lower train.workers)"
    else:
        how, cause = f"ended with exit status {code}", ", for the reason in its own lines above"
    return (
        f"a worker that loads faces is gone: process {pid} {how}{cause}. Run the same command again: it goes on after "
        "the last checkpoint"
    )


def _work(faces: FaceBatches, slots: list[Slot], pipe: Connection, inherited: Sequence[Connection]) -> None:
    # The other ends belong to the training: while a copy is open here, nobody hears that the training is gone.
    for end in inherited:
        end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the training's to answer, which ends this
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGBUS, signal.SIG_DFL)  # the cache's reader puts its own before this one's, not the parent's
    # The parent's pools of threads are not here: who waits for one waits for ever.
    torch.set_num_threads(1)
    try:
        while True:
            slot, epoch = pipe.recv()
            pipe.send(_made(faces, slots[slot], epoch))
    except (EOFError, ConnectionError):
        os._exit(0)  # the training has ended, or is gone


def _made(faces: FaceBatches, slot: Slot, epoch: int) -> UserError | None:
    samples, views = slot.wanted.numpy()
    try:
        faces.fill(slot.batch, Wanted(samples, views, epoch))
    except UserError as error:
        return error
    return None
