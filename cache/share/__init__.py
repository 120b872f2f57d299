"""A cache travels: to and from a bucket or the HuggingFace Hub, with a card that says what it is, believing nobody."""

from cache.share.remote import open_remote
from cache.share.share import pull, push

__all__ = [
    "open_remote",
    "pull",
    "push",
]
