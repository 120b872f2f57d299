"""[student]: the network that is trained."""

from typing import Literal

from common.config.section import Positive, Section, Text


class StudentConfig(Section):
    """The network that is trained."""

    backbone: Text = "mobilefacenet"
    activation: Literal["prelu", "relu", "hardswish"] = "prelu"
    embedding_size: Positive = 512

    @property
    def network(self) -> str:
        """What `common.backbones` calls it: PReLU, which every backbone has, is not named."""
        return self.backbone if self.activation == "prelu" else f"{self.backbone}_{self.activation}"
