"""The layouts in which one network's weights circulate, and files of them."""

from pathlib import Path

import torch
from safetensors.torch import save_file


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


HEAD = {"head.kernel": torch.zeros(8, 3), "head.t": torch.zeros(1), "head.batch_mean": torch.ones(1) * 20}
LAYOUTS = {
    "bare.pth": lambda s: s,
    "cvlface.pt": lambda s: prefixed(s, "net."),
    "cvlface.safetensors": lambda s: prefixed(s, "model.net."),
    "adaface.ckpt": lambda s: {"epoch": 25, "state_dict": {**prefixed(s, "model."), **HEAD}},
    "parallel.pt": lambda s: prefixed(s, "module."),
    "parallel_compiled.pt": lambda s: prefixed(s, "module._orig_mod."),
    "arcface_torch.pt": lambda s: {"epoch": 3, "state_dict_backbone": s, "state_dict_softmax_fc": {}},
    "half.safetensors": lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
}


def write(path: Path, content) -> Path:
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return path
