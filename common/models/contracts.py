"""What a file of weights wants to see, without building its network: everything anybody knows about it, in order."""

from common.config import ModelConfig
from common.errors import ModelError
from common.models.key_layouts import Adapted, adapt
from common.models.onnx_model import Signature, read_graph, read_signature
from common.models.presets import RAW_RGB, UNIT_RGB, Preset, by_repository, by_sha256, first_known
from common.models.tensor_files import TensorFile, read_tensors
from common.models.weight_files import WeightFile
from common.models.weights import contract_of


def read_contract(config: ModelConfig, weights: WeightFile) -> Preset:
    """The contract `open_model` would give these weights; `embedding_size` is None where only a run would tell it.

    Raises:
        ModelError, DataError: as `open_model` does.
    """
    if weights.path.suffix == ".onnx":
        signature = read_signature(read_graph(weights.path), weights.path)
        return onnx_contract(config, weights, signature, signature.dim)
    file = read_tensors(weights.path)
    return torch_contract(config, weights, file, adapt(file.tensors))


def torch_contract(config: ModelConfig, weights: WeightFile, file: TensorFile, adapted: Adapted) -> Preset:
    """Contract of a PyTorch checkpoint, see `contract_of`."""
    repository = by_repository(weights.repo) if weights.repo else Preset()
    return contract_of(_stated(config), file, adapted, weights.path, weights.sha256, repository)


def onnx_contract(config: ModelConfig, weights: WeightFile, signature: Signature, dim: int | None) -> Preset:
    """Contract of an ONNX file whose embeddings are `dim` wide.

    Raises:
        ModelError: an option has no effect on ONNX files, or a stated value is not the file's.
    """
    for option, idle in (("precision", ("float32", "auto")), ("channels_last", (False,)), ("compile", (False,))):
        if getattr(config, option) not in idle:
            raise ModelError(f"{weights.name}: {option} has no effect on an ONNX file; leave it out")
    contract = first_known(
        _stated(config),
        by_sha256(weights.sha256),
        by_repository(weights.repo) if weights.repo else Preset(),
        Preset("onnx", dim, signature.size or (112, 112)),
        RAW_RGB if signature.scales else UNIT_RGB,
    )
    for field, value in (("embedding_size", dim), ("size", signature.size)):
        if value is not None and getattr(contract, field) != value:
            raise ModelError(f"{weights.name}: {field} is {value} in the file, not {getattr(contract, field)}")
    return contract


def _stated(config: ModelConfig) -> Preset:
    return Preset(
        config.architecture, config.embedding_size, config.size, config.channel_order, config.mean, config.std
    )
