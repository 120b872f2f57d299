"""Face models: what turns faces into embeddings, as teacher in stage one and as anything under evaluation.

    model = open_model(config.teacher, root=Path("data"))
    model.embed(faces)        uint8 (B,H,W,3) RGB -> float32 (B,D), not normalised

A model carries its own channel order, size and scaling; callers always hand over RGB as it was rendered.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from common.config import ModelConfig
from common.errors import DataError, ModelError
from common.faces import FaceSource, resized
from common.models.contracts import onnx_contract, torch_contract
from common.models.identity import describe
from common.models.key_layouts import adapt
from common.models.onnx_model import OnnxNetwork
from common.models.presets import Preset
from common.models.tensor_files import read_tensors
from common.models.torch_model import TorchNetwork
from common.models.weight_digest import digest_of
from common.models.weight_files import WeightFile, find_weights, require_digest
from common.models.weights import build_filled

Network = Callable[[np.ndarray], np.ndarray]


class FaceModel:
    """A network together with what its weights want to see.

    Args:
        weights: the file the network was loaded from, as an attribute too.
        contract: input contract with every field set, as an attribute too.
        network: uint8 faces (B,h,w,3) in the network's size and channel order -> (B,D) float32, as an attribute too.
        precision: arithmetic of the network.
        runtime: what may change between machines without making it another model, as an attribute too.

    `path` is the file the network was loaded from, `size` (height, width), `dim` the width of its embeddings.
    """

    def __init__(
        self, weights: WeightFile, contract: Preset, network: Network, precision: str, runtime: dict[str, Any]
    ):
        if contract.missing():
            raise ModelError(f"{weights.name}: set {', '.join(contract.missing())} for this model in the config")
        if not (contract.std and contract.std > 0):
            raise ModelError(
                f"{weights.name}: std is {contract.std}; pixels enter as (x - mean) / std with std above 0"
            )
        assert contract.size is not None
        assert contract.embedding_size is not None
        self.size = contract.size
        self.dim = contract.embedding_size
        self.path = weights.path
        self.runtime = runtime
        self.weights, self.contract, self.network = weights, contract, network
        self._precision = precision
        self.require_unchanged()

    def describe(self) -> dict[str, Any]:
        """JSON-able account of the model, for the manifest; see `common.models.identity`."""
        return describe(self.weights, self.contract, self._precision)

    def require_unchanged(self) -> None:
        """Hash the weights again. Raises ModelError when the files are no longer those the model was named by.

        Said once when the network is loaded, so that the digest is that of the bytes it was loaded from, and by
        whoever is about to put that digest under a result.
        """
        now = digest_of(self.weights.path)
        if now != self.weights.sha256:
            raise ModelError(
                f"{self.weights.path}: the weights changed while they were in use: sha256 was {self.weights.sha256}, "
                f"is {now}; put the first ones back and run again"
            )

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Embeddings of a batch of faces.

        Args:
            faces: uint8 (B,H,W,3), RGB. Another size than the model's is fitted first, see `fit`.

        Returns:
            float32 (B,D), not normalised.

        Raises:
            ModelError: an embedding is not finite.
        """
        return self.begin(faces)()

    @property
    def in_flight(self) -> int:
        """How many batches it pays to begin before the first is waited for."""
        return self.network.in_flight if isinstance(self.network, TorchNetwork) else 1

    def begin(self, faces: np.ndarray) -> Callable[[], np.ndarray]:
        """Start `embed` of a batch; what is returned waits for the embeddings, and raises what `embed` does."""
        return self._begin(faces, self.contract.channel_order)

    def embed_swapped(self, faces: np.ndarray) -> np.ndarray:
        """`embed` with red and blue exchanged, for a check of the channel order."""
        return self._begin(faces, "rgb" if self.contract.channel_order == "bgr" else "bgr")()

    def _begin(self, faces: np.ndarray, order: str | None) -> Callable[[], np.ndarray]:
        assert faces.dtype == np.uint8, "faces are uint8 (B,H,W,3)"
        assert faces.ndim == 4, "faces are uint8 (B,H,W,3)"
        if len(faces) == 0:
            return lambda: np.empty((0, self.dim), np.float32)
        pixels = fit(faces, self.size)
        pixels = pixels[..., ::-1] if order == "bgr" else pixels
        network = self.network
        answer = network.begin(pixels) if isinstance(network, TorchNetwork) else partial(network, pixels)
        return lambda: self._finite(answer())

    def _finite(self, embeddings: np.ndarray) -> np.ndarray:
        if not np.isfinite(embeddings).all():
            raise ModelError(f"{self.weights.name}: an embedding is not finite; try precision = 'float32'")
        return embeddings


def open_model(config: ModelConfig, root: Path, device: str = "cpu", threads: int | None = None) -> FaceModel:
    """The model a config names.

    Args:
        config: which weights, and anything about them that is not known by itself. Precision `auto` is float32 here;
            stage one settles it before (cache/teachers.py).
        root: data root; relative paths in the config start there.
        device: `cpu` or `cuda[:N]`.
        threads: threads a forward may use; None leaves the library's setting.

    Raises:
        ModelError: the weights cannot be had, are not what the config says, or their contract is not known.
    """
    weights = find_weights(config.weights, config.revision, root)
    require_digest(weights, config.sha256)
    if weights.path.suffix == ".onnx":
        return _open_onnx(config, weights, device, threads)
    return _open_torch(config, weights, device, threads)


def fit(faces: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Faces (B,H,W,3) uint8 at another (height, width).

    Of equal height and less width (112x96 out of 112x112) it is the centre crop those networks were trained on;
    anything else is resized.
    """
    height, width = size
    if faces.shape[1:3] == size:
        return faces
    if faces.shape[1] == height and faces.shape[2] > width:
        left = (faces.shape[2] - width) // 2
        return faces[:, :, left : left + width]
    return np.stack([resized(face, size) for face in faces])


def refuse_other_size(source: FaceSource, size: tuple[int, int], network: str) -> None:
    """Raises DataError for faces that `fit` would have to resize: they are not aligned as the network's were.

    One picture is looked at, the first that decodes; that all are of one size is seen when they are used.
    """
    for sample in range(len(source)):
        try:
            found = source.rgb(sample).shape[:2]
        except DataError:
            continue  # whether it may be left out is for others to say
        if found != size and not (found[0] == size[0] and found[1] > size[1]):
            told = "faces.size" if source.fit is not None else 'faces.fit = "crop" or "resize"'
            raise DataError(
                f"{source.name(sample)}: {found[0]}x{found[1]} pixels, {network} takes {size[0]}x{size[1]}: align the "
                f"faces first (docs/data.md), or say how they fit: {told}"
            )
        return


def _open_torch(config: ModelConfig, weights: WeightFile, device: str, threads: int | None) -> FaceModel:
    file = read_tensors(weights.path)
    adapted = adapt(file.tensors)
    contract = torch_contract(config, weights, file, adapted)
    module = build_filled(contract, adapted, weights.path)
    if threads is not None:
        torch.set_num_threads(threads)
    assert contract.mean is not None
    assert contract.std is not None
    precision = "float32" if config.precision == "auto" else config.precision
    network = TorchNetwork(module, contract.mean, contract.std, precision, device, config.channels_last, config.compile)
    runtime = {
        "library": f"torch {torch.__version__}",
        "device": torch.device(device).type,
        "channels_last": config.channels_last,
        "compile": config.compile,
    }
    return FaceModel(weights, contract, network, precision, runtime)


def _open_onnx(config: ModelConfig, weights: WeightFile, device: str, threads: int | None) -> FaceModel:
    network = OnnxNetwork(weights.path, device, threads)
    contract = onnx_contract(config, weights, network.signature, network.dim)
    mean, std = contract.mean, contract.std

    def run(faces: np.ndarray) -> np.ndarray:
        pixels = faces.astype(np.float32)
        return network(pixels if (mean, std) == (0, 1) else (pixels - np.float32(mean)) / np.float32(std))

    runtime = {
        "library": f"onnxruntime {onnxruntime.__version__}",
        "provider": network.provider[0],
        "fixed_batch": network.fixed_batch,
    }
    return FaceModel(weights, contract, run, "float32", runtime)
