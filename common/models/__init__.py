"""Any face model, whoever published it: its weights found, fetched and loaded strictly, and what it wants to see.

    model = open_model(ModelConfig(weights="minchul/cvlface_adaface_ir50_webface4m"), root)
    model.embed(faces)                           uint8 (B,H,W,3) RGB -> float32 (B,D)

`identity_of` says which model it is: the one account by which caches and experiments tell teachers apart.
"""

from common.models.face_model import FaceModel, fit, open_model, refuse_other_size
from common.models.hub_commit import MAY_WRITE, line_of_client, send_commit
from common.models.identity import IDENTITY, identity_of, known_of
from common.models.in_flight import embed_in_turn
from common.models.model_check import (
    TeacherReport,
    check_teacher,
    labelled_sample,
    refuse_evidently_wrong,
    warning_of,
)
from common.models.named import STUDENT, open_named
from common.models.onnx_model import EXPORTED, free_batch, read_graph, read_signature, relative_deviation
from common.models.presets import UNIT_RGB, UNKNOWN, Preset, first_known, known_licence
from common.models.tensor_files import read_tensors, write_tensors
from common.models.torch_model import DTYPES, TorchNetwork
from common.models.weight_files import find_weights, hub_name, kept_weights
from common.models.weights import convert_checkpoint, load_weights, save_weights

__all__ = [
    "DTYPES",
    "EXPORTED",
    "IDENTITY",
    "MAY_WRITE",
    "STUDENT",
    "UNIT_RGB",
    "UNKNOWN",
    "FaceModel",
    "Preset",
    "TeacherReport",
    "TorchNetwork",
    "check_teacher",
    "convert_checkpoint",
    "embed_in_turn",
    "find_weights",
    "first_known",
    "fit",
    "free_batch",
    "hub_name",
    "identity_of",
    "kept_weights",
    "known_licence",
    "known_of",
    "labelled_sample",
    "line_of_client",
    "load_weights",
    "open_model",
    "open_named",
    "read_graph",
    "read_signature",
    "read_tensors",
    "refuse_evidently_wrong",
    "refuse_other_size",
    "relative_deviation",
    "save_weights",
    "send_commit",
    "warning_of",
    "write_tensors",
]
