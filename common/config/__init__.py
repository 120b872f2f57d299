"""What an experiment file may say: one typed, strict table a file, published head recipes, reading and writing TOML.

config = load_config("configs/lfw.toml", overrides=["train.epochs=2"])
config.head.margin
"""

from common.config.cache import CacheConfig
from common.config.evaluate import MeasureConfig
from common.config.experiment import Config
from common.config.file import Change, Written, checked, load_config, parse_override, read_written, toml_of
from common.config.head import HeadConfig, HeadPrecision
from common.config.recipes import RECIPES
from common.config.section import Positive, Precision, Section
from common.config.teacher import ChannelOrder, ModelConfig
from common.config.terms import TermsConfig
from common.config.train import TrainConfig, Verify, Warm
from common.config.views import ViewOrder, ViewsConfig

__all__ = [
    "RECIPES",
    "CacheConfig",
    "Change",
    "ChannelOrder",
    "Config",
    "HeadConfig",
    "HeadPrecision",
    "MeasureConfig",
    "ModelConfig",
    "Positive",
    "Precision",
    "Section",
    "TermsConfig",
    "TrainConfig",
    "Verify",
    "ViewOrder",
    "ViewsConfig",
    "Warm",
    "Written",
    "checked",
    "load_config",
    "parse_override",
    "read_written",
    "toml_of",
]
