"""What a user can put right. Every message says what is wrong, where, and what to do next, in one line.

The click commands print these as `Error: ...` with exit status 2 and no traceback; anything else that is
raised is our own mistake and keeps its traceback.
"""


class UserError(ValueError):
    """Base of all errors that the person at the keyboard can mend."""


class ConfigError(UserError):
    """A configuration file or option that cannot be used as it stands."""


class IdleOptionError(ConfigError):
    """Options that were changed but cannot have an effect where they stand; their dotted keys."""

    def __init__(self, message: str, options: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.options = options


class DataError(UserError):
    """A file that is missing, damaged, hostile, or not what it should be."""


class CacheError(UserError):
    """A teacher cache that is incomplete, damaged, or made from something else."""


class RankGone(UserError):
    """Another rank has failed, and says why where it can be heard."""


class ModelError(UserError):
    """Weights that cannot be had or do not fit the network."""
