"""What an experiment file may say, one file a table, and how such files are read and written."""

from common.config.experiment import Config, MeasureConfig
from common.config.file import load_config, toml_of
from common.config.section import Positive, Precision, Section
from common.config.stage_one import OPERATIONS, CacheConfig, ModelConfig, ViewsConfig
from common.config.stage_two import HeadConfig, TrainConfig

__all__ = [
    "OPERATIONS",
    "CacheConfig",
    "Config",
    "HeadConfig",
    "MeasureConfig",
    "ModelConfig",
    "Positive",
    "Precision",
    "Section",
    "TrainConfig",
    "ViewsConfig",
    "load_config",
    "toml_of",
]
