"""[student]: the network that is trained."""

from common.config.section import Positive, Section, Text


class StudentConfig(Section):
    """The network that is trained."""

    backbone: Text = "mobilefacenet"
    embedding_size: Positive = 512
