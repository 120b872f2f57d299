"""A backbone of `common.backbones` run as a frozen model, in the precision and memory format asked for.

Which of them pays is measured by `benchmarks/teacher.py` and written down in docs/teachers.md.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from common.backbones import GNAP
from common.errors import ModelError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchNetwork:
    """Callable: uint8 faces (B,H,W,3) in the weights' channel order -> embeddings (B,D) float32.

    Args:
        module: a backbone in evaluation mode; it is moved to `device`.
        mean, std: pixels enter as (x - mean) / std.
        precision: `float32`, or the type autocast runs convolutions and products in.
        channels_last: keep feature maps as (B,H,W,C) in memory.
        compile: through torch.compile; the first batches are slow.

    Raises:
        ModelError: float16 on a CPU, where the batch norms lose too much and nothing is gained.
    """

    def __init__(
        self,
        module: nn.Module,
        mean: float,
        std: float,
        precision: str = "float32",
        device: str = "cpu",
        channels_last: bool = False,
        compile: bool = False,
    ):
        self.device = torch.device(device)
        if precision == "float16" and self.device.type == "cpu":
            raise ModelError("precision float16 needs a GPU; on a CPU use bfloat16 or float32")
        self.mean, self.std, self.dtype = mean, std, DTYPES[precision]
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        for layer in module.modules():
            if isinstance(layer, GNAP):
                layer.per_image = True  # or an embedding would depend on its batch
        self.module = module.eval().to(self.device)
        self.module.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        if compile:
            self.module.compile(dynamic=True)

    @property
    def in_flight(self) -> int:
        """How many batches may be begun before the first is waited for: a CPU gains nothing by a second."""
        return 2 if self.device.type == "cuda" else 1

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        return self.begin(faces)()

    @torch.inference_mode()
    def begin(self, faces: np.ndarray) -> Callable[[], np.ndarray]:
        """Start a batch; what is returned waits for its embeddings. Pixels are scaled on the device.

        On a GPU nothing waits here: bytes go there, and embeddings come back, through pinned memory of their own.
        """
        pixels = torch.from_numpy(np.ascontiguousarray(faces))
        if self.device.type == "cuda":
            pixels = pixels.pin_memory().to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            embeddings: Tensor = self.module(self._normalise(pixels.to(self.device))).float()
        if self.device.type != "cuda":
            return embeddings.cpu().numpy
        here = torch.empty(embeddings.shape, pin_memory=True)
        here.copy_(embeddings, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()

        def finish() -> np.ndarray:
            copied.synchronize()
            return here.numpy()

        return finish

    def _normalise(self, pixels: Tensor) -> Tensor:
        """uint8 (B,H,W,3) -> float32 (B,3,H,W) in the network's memory format."""
        scaled = (pixels.float() - self.mean) / self.std
        return scaled.permute(0, 3, 1, 2).contiguous(memory_format=self.memory_format)
