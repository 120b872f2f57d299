"""A step's launches recorded once and replayed: `train.graphs`, CUDA graphs.

A small student is bound by the host: MobileFaceNet and its head are some thousand launches a step, each shorter on the
card than the call that asks for it. A graph is one launch for all of them.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from common.config import Config
from common.errors import ConfigError

# Steps before capture: cuDNN chooses its algorithms, and what is made once (kept directions of centres) is made.
EAGER_STEPS = 3


def refuse_graphs(config: Config, device: torch.device, ranks: int) -> None:
    """Raises ConfigError where train.graphs is set and a step cannot be captured."""
    if not config.train.graphs:
        return
    if device.type != "cuda":
        raise ConfigError(f"train.graphs needs a CUDA device, not {device.type}: set it to false")
    if ranks > 1:
        raise ConfigError(f"train.graphs captures no exchange between ranks, and there are {ranks}: set it to false")
    if config.train.accumulate > 1:
        raise ConfigError(
            f"train.graphs with train.accumulate = {config.train.accumulate}: each micro-batch seeds its own dropout, "
            "which a graph cannot: set one of them to its default"
        )


class StepGraph:
    """A function of tensors that runs as one CUDA graph after its first EAGER_STEPS calls with the same shapes.

    Only what the function launches is replayed. So all that differs between calls has to come in by its tensors, the
    host's numbers among them, or by the seed of torch's generator, which replays read anew.
    """

    def __init__(self, function: Callable[..., dict[str, Tensor]], device: torch.device) -> None:
        self._function, self._device = function, device
        self.forget()

    def forget(self) -> None:
        """Begin anew: the function would launch something else now, as after a state was loaded."""
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: dict[str, Tensor] = {}
        self._inputs: list[Tensor | None] = []
        self._calls = 0

    def __call__(self, *inputs: Tensor | None) -> dict[str, Tensor]:
        """The function's result. From the first replay on these are the same tensors, written over by the next call."""
        if [_kind(x) for x in inputs] != [_kind(x) for x in self._inputs]:
            self.forget()
            self._inputs = [None if x is None else torch.empty_like(x, device=self._device) for x in inputs]
        for static, given in zip(self._inputs, inputs, strict=True):
            if static is not None and given is not None:
                static.copy_(given, non_blocking=True)
        self._calls += 1
        if self._calls <= EAGER_STEPS:
            return self._run_beside()
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._result = self._function(*self._inputs)
        self._graph.replay()
        return self._result

    def _run_beside(self) -> dict[str, Tensor]:
        """On a stream of its own: what autograd binds to the default stream could not be captured later."""
        stream, side = torch.cuda.current_stream(self._device), torch.cuda.Stream(self._device)
        side.wait_stream(stream)
        with torch.cuda.stream(side):
            result = self._function(*self._inputs)
        stream.wait_stream(side)
        return result


def _kind(x: Tensor | None) -> tuple[torch.Size, torch.dtype] | None:
    return None if x is None else (x.shape, x.dtype)
