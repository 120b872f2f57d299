"""A cache travels: pushed to and pulled from a bucket or the HuggingFace Hub, with a card that says what it is."""

from cache.share.remote import open_remote
from cache.share.share import pull, push

__all__ = [
    "open_remote",
    "pull",
    "push",
]
