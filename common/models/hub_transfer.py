"""Ask a Hub for one file and fetch it, believing nothing: whoever answers may lie, drip, or never stop.

A question is answered within `ANSWER_SECONDS`. A download ends within `START_SECONDS` and a second for every `SLOWEST`
bytes that were announced. What arrives is no longer than announced and has the digest that was announced, or it is
not kept. Names that the server chooses (commit, digest) are hex of the right length before they become part of a path.
"""

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import TypeVar

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.utils import build_hf_headers, get_session

from common.errors import ModelError
from common.files import sha256_of
from common.progress import progress
from common.text import printable

COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_SHA1 = re.compile(r"[0-9a-f]{40}")

ANSWER_SECONDS = 30.0
READ_SECONDS = 10.0
START_SECONDS = 60.0
SLOWEST = 100_000
LARGEST = 50 << 30
_QUIET_BELOW = 1 << 20

T = TypeVar("T")


class TooSlow(OSError):
    """The other side keeps talking and does not come to an end."""


@dataclass(frozen=True)
class Announced:
    """What a Hub says of a file: the commit it belongs to, its digest and its bytes."""

    repo: str
    file: str
    commit: str
    digest: str
    size: int


def announced(repo: str, file: str, revision: str | None) -> Announced:
    """Ask for a file without fetching it.

    Raises ModelError for an answer no Hub would give, TooSlow, and the client's exceptions.
    """
    url = hf_hub_url(repo, file, revision=revision)
    said = within(ANSWER_SECONDS, lambda stop: get_hf_file_metadata(url, timeout=READ_SECONDS))
    if not COMMIT.fullmatch(said.commit_hash or ""):
        raise _no_hub(repo, f"the commit {said.commit_hash!r}")
    if revision is not None and COMMIT.fullmatch(revision) and said.commit_hash != revision:
        raise _no_hub(repo, f"commit {said.commit_hash} when asked for {revision}")
    if not is_digest(said.etag or ""):
        raise _no_hub(repo, f"{said.etag!r} as digest of {file}")
    if said.size is None or not 0 <= said.size <= LARGEST:
        raise _no_hub(repo, f"{said.size} bytes as size of {file}")
    assert said.commit_hash is not None
    assert said.etag is not None
    return Announced(repo, file, said.commit_hash, said.etag, said.size)


def fetch(what: Announced, target: Path) -> None:
    """Write an announced file to the new file `target`.

    Raises ModelError when other bytes come, TooSlow, and the client's exceptions.
    """
    url = hf_hub_url(what.repo, what.file, revision=what.commit)

    def stream(stop: Event) -> None:
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        quiet = what.size < _QUIET_BELOW
        with (
            get_session().stream("GET", url, headers=headers, timeout=READ_SECONDS) as response,
            target.open("xb") as file,
            progress(what.file, what.size, unit="bytes", quiet=quiet) as advance,
        ):
            if response.status_code != 200:
                raise _refused(what, response.status_code)
            left = what.size
            for chunk in response.iter_raw():
                left -= len(chunk)
                if left < 0 or stop.is_set():
                    break
                file.write(chunk)
                advance(len(chunk))
        if left != 0 and not stop.is_set():
            came = "more" if left < 0 else f"{what.size - left:,}"
            raise _no_hub(what.repo, f"{came} bytes of {what.file} after announcing {what.size:,}")

    within(START_SECONDS + what.size / SLOWEST, stream)
    require_named_by_digest(target, what.digest, f"{what.repo}: {what.file}")


def is_digest(name: str) -> bool:
    """Whether a Hub names a file so: SHA-256 of large files, git's SHA-1 of small ones."""
    return bool(_SHA256.fullmatch(name) or _GIT_SHA1.fullmatch(name))


def require_named_by_digest(file: Path, digest: str, called: str) -> None:
    """Raises ModelError unless `digest`, which the Hub gave, is that of the file's bytes."""
    if not is_digest(digest):
        raise ModelError(
            f"{called}: {file} is not kept under its digest, so nothing says what it should be; delete it and run again"
        )
    found = sha256_of(file) if _SHA256.fullmatch(digest) else _git_sha1(file)
    if found != digest:
        kind = "sha256" if len(digest) == 64 else "git sha1"
        raise ModelError(f"{called}: {file} has {kind} {found}, the Hub says {digest}; delete it and run again")


def within(seconds: float, work: Callable[[Event], T]) -> T:
    """The result of `work`, in a thread of its own that is told to stop, and left behind, when time is up.

    A timeout for each read does not end a server that sends a byte now and then.
    """
    stop, result = Event(), Future[T]()

    def run() -> None:
        try:
            result.set_result(work(stop))
        except BaseException as error:  # handed to whoever waits
            result.set_exception(error)

    Thread(target=run, daemon=True).start()
    try:
        return result.result(seconds)
    except TimeoutError:
        if result.done():
            raise
        raise TooSlow(f"no end of the answer after {seconds:,.0f} s") from None
    finally:
        stop.set()


def _git_sha1(file: Path) -> str:
    digest = hashlib.sha1(f"blob {file.stat().st_size}\0".encode(), usedforsecurity=False)
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _no_hub(repo: str, said: str) -> ModelError:
    return ModelError(
        f"{repo}: {constants.ENDPOINT} gave {printable(said)}: no HuggingFace Hub does; check HF_ENDPOINT"
    )


def _refused(what: Announced, status: int) -> ModelError:
    return ModelError(f"{what.repo}: {constants.ENDPOINT} answered {status} for {what.file}; try again later")
