"""A training loop of one's own, in plain PyTorch, that reads the teacher's word from a cache.

.venv/bin/python examples/own_training_loop.py data/faces_emore caches/ms1mv2 student.pt

Replace the network, the loss or the optimiser; what stays is that a face is shown in the view the teacher saw.
"""

import sys

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from cache.format import describe_faces
from cache.reader import TeacherCache
from common.backbones import build_backbone
from common.faces import Views, decoder_version, open_source


class CachedFaces(Dataset[tuple[Tensor, Tensor, int]]):
    """Pixels (3,H,W) in [-1,1], the teacher's embedding of exactly these pixels (D,), and the class."""

    def __init__(self, faces: str, cache: str) -> None:
        self.source, self.cache = open_source(faces), TeacherCache(cache)
        self.views = Views.from_manifest(self.cache.manifest["views"])
        self.cache.require(describe_faces(self.source), self.views.describe(), decoder_version())
        self.samples = np.setdiff1d(np.arange(len(self.cache)), self.cache.skipped)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, int]:
        sample = int(self.samples[number])
        view = int(torch.randint(self.cache.views, ()))  # torch seeds each worker; numpy would repeat itself
        rgb = self.views.render(self.source.rgb(sample), self.source.number(sample), view)
        f_t = self.cache.gather(np.array([sample]), view)[0]
        return torch.from_numpy(rgb).permute(2, 0, 1) / 127.5 - 1, torch.from_numpy(f_t), self.source.label(sample)


def train(faces: CachedFaces, epochs: int, batch: int, workers: int, device: str) -> nn.Module:
    student = build_backbone("mobilefacenet", faces.cache.dim).to(device)
    optimiser = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    loader = DataLoader(faces, batch, shuffle=True, drop_last=True, num_workers=workers)
    for epoch in range(epochs):
        for pixels, f_t, _labels in loader:
            loss = (1 - F.cosine_similarity(student(pixels.to(device)), f_t.to(device))).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        print(f"epoch {epoch + 1}: 1 - cos(f_s, f_t) = {loss.item():.4f}")
    return student


def main(faces: str, cache: str, out: str, epochs: int = 10, batch: int = 128, workers: int = 4) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.save(train(CachedFaces(faces, cache), epochs, batch, workers, device).state_dict(), out)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
