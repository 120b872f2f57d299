"""Weights on their way from the device into a file and out of it."""

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.gpu.finding import Finding, at_least, at_most, holds
from benchmarks.gpu.place import Place
from benchmarks.gpu.steps import HEADS, batch_of, losses, new_trainer
from benchmarks.gpu.teachers import least_cosine
from common.backbones import build_backbone
from common.config import ModelConfig
from common.models import UNIT_RGB, Preset, first_known, open_model, read_tensors, save_weights

DIM = 128


def exported(place: Place) -> Iterator[Finding]:
    """The averaged network as it leaves a run, then opened on the CPU as anybody would, without further options."""
    backbone = "mobilefacenet" if place.card else "mobilefacenet_0.25"
    trainer = new_trainer(place.device, HEADS["distilled"], 300, backbone, DIM, ema=0.9, precision="bfloat16")
    losses(trainer, [batch_of(trainer, 16, 300, seed, DIM) for seed in range(3)])
    network, path = trainer.exported(), place.folder / "student.safetensors"
    contract = first_known(Preset(backbone, DIM, (112, 112)), UNIT_RGB)
    save_weights(network, path, contract.to_metadata())
    kept = {key: value.cpu() for key, value in network.state_dict().items()}
    read = read_tensors(path).tensors
    same = sum(torch.equal(read[key], value) for key, value in kept.items() if key in read)
    yield holds("tensors with the same bits", same == len(kept) == len(read), f"{same} of {len(kept)}", f"{len(kept)}")
    faces = np.random.default_rng(0).integers(0, 256, (32, 112, 112, 3)).astype(np.uint8)
    opened = open_model(ModelConfig(weights=str(path)), place.folder, "cpu").embed(faces)
    plain = build_backbone(backbone, DIM)
    plain.load_state_dict(kept)
    with torch.no_grad():
        pixels = torch.from_numpy(faces).permute(0, 3, 1, 2).float().div(127.5).sub(1)
        by_hand = plain.eval()(pixels).numpy()
        on_device = network.eval()(pixels.to(place.device)).float().cpu().numpy()
    yield at_most("the opened file against the network, both on the CPU", float(np.abs(opened - by_hand).max()), 1e-4)
    cosine = least_cosine(opened, on_device)
    yield at_least("the opened file on the CPU against the network on the device: cosine", cosine, 0.9999, "{:.6f}")
