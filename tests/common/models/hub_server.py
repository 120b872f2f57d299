"""A web server on this machine that speaks the part of the HuggingFace Hub's protocol a download uses.

HEAD and GET of /<owner>/<name>/resolve/<revision>/<file>, with the commit, the digest as linked ETag, and the error
codes by which the client tells its failures apart. Told to, it lies and misbehaves (`Misbehaviour`).
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest
from huggingface_hub import constants

RESOLVE = "/{repo_id}/resolve/{revision}/{filename}"
COMMIT = "c0ffee" * 6 + "cafe"


@dataclass
class Misbehaviour:
    """What a hostile server does for one method, "HEAD" or "GET".

    headers: sent instead of its own. body: sent instead of the file. status: and that one. drip: a byte of the body
    (of a header line, for HEAD) every so many seconds, without end. endless: the body has no end.
    """

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    status: int | None = None
    drip: float | None = None
    endless: bool = False


@dataclass
class FakeHub:
    """What the server holds and what it was asked: `requests` are (method, path, authorization)."""

    url: str = ""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, str] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    announced: dict[str, str] = field(default_factory=dict)
    branches: set[str] = field(default_factory=lambda: {"main"})
    status: int | None = None
    hostile: dict[str, Misbehaviour] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    over: Event = field(default_factory=Event)

    def answer(self, path: str, token: str | None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for one file."""
        if self.status is not None:
            return self.status, {}, b""
        if "/resolve/" not in path:
            return 404, {}, b""
        owner, name, _, revision, *rest = path.strip("/").split("/")
        repo, file = f"{owner}/{name}", "/".join(rest)
        if repo not in self.repos or (repo in self.private and token != f"Bearer {self.private[repo]}"):
            return 401, {"X-Error-Code": "RepoNotFound"}, b""
        if repo in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        if revision not in (*self.branches, COMMIT):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        if file not in self.repos[repo]:
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b""
        body = self.repos[repo][file]
        digest = self.announced.get(file, hashlib.sha256(body).hexdigest())
        return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{digest}"', "X-Linked-Etag": f'"{digest}"'}, body


@contextmanager
def serving() -> Iterator[FakeHub]:
    """Run a `FakeHub` on a free port of 127.0.0.1."""
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, with_body: bool) -> None:
            hub.requests.append((self.command, self.path, self.headers.get("Authorization")))
            status, headers, body = hub.answer(self.path, self.headers.get("Authorization"))
            ill = hub.hostile.get(self.command, Misbehaviour())
            body = body if ill.body is None else ill.body
            self.send_response(ill.status or status)
            for name, value in {**headers, "Content-Length": str(len(body)), **ill.headers}.items():
                self.send_header(name, value)
            with suppress(OSError):  # whoever asked has had enough
                if ill.drip is not None and not with_body:
                    self.flush_headers()
                    self._drip(b"X-More: ", ill.drip)
                self.end_headers()
                if not with_body:
                    return
                if ill.drip is not None:
                    self._drip(b"", ill.drip)
                self.wfile.write(body)
                while ill.endless:
                    self.wfile.write(bytes(1 << 16))

        def _drip(self, first: bytes, seconds: float) -> None:
            self.wfile.write(first)
            while not hub.over.wait(seconds):
                self.wfile.write(b"x")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield hub
        hub.over.set()
        server.shutdown()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A `FakeHub` that the client of this process asks, with nothing kept on this disk yet."""
    with serving() as server:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + RESOLVE)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "kept"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server
