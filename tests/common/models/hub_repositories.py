"""A web server on this machine that takes and serves repositories by the HuggingFace Hub's protocol.

Making a repository of models or a dataset, asking how files shall be sent, LFS objects by digest, one commit; and
downloads as in tests/common/models/hub_server.py. Shards and weights are LFS objects, everything else travels in the
commit itself.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import yaml
from huggingface_hub import constants

from tests.common.models.hub_server import COMMIT, FakeHub

_LARGE = re.compile(r"/c/|\.(safetensors|onnx)$")


@dataclass
class Repositories(FakeHub):
    """objects: LFS contents by SHA-256. created: payloads of made repositories. put: digests as they were uploaded."""

    objects: dict[str, bytes] = field(default_factory=dict)
    created: list[dict] = field(default_factory=list)
    put: list[str] = field(default_factory=list)
    commits: int = 0
    refuse_commits: bool = False
    announced_size: dict[str, int] = field(default_factory=dict)

    def post(self, path: str, body: bytes) -> tuple[int, dict]:
        """Status and JSON of an answer."""
        if path == "/api/repos/create":
            self.created.append(json.loads(body))
            return 200, {"url": f"{self.url}/{self.created[-1].get('organization', 'me')}/x"}
        if path == "/api/validate-yaml":
            header = yaml.safe_load(json.loads(body)["content"].split("---")[1])
            return 200, {"errors": [] if isinstance(header, dict) else [{"message": "no header"}], "warnings": []}
        if "/preupload/" in path:
            files = [file["path"] for file in json.loads(body)["files"]]
            modes = [
                {"path": p, "uploadMode": "lfs" if _LARGE.search(p) else "regular", "shouldIgnore": False}
                for p in files
            ]
            return 200, {"files": modes}
        if path.endswith("/objects/batch"):
            return 200, {"transfer": "basic", "objects": [self._object(o) for o in json.loads(body)["objects"]]}
        if "/commit/" in path and not self.refuse_commits:
            self._commit(self.repo_of(path), [json.loads(line) for line in body.splitlines() if line.strip()])
            return 200, {
                "success": True,
                "commitOid": COMMIT,
                "commitUrl": f"{self.url}/{self.repo_of(path)}/commit/x",
            }
        return 403, {"error": "no"}

    def tree(self, path: str) -> list[dict]:
        """The listing of all files of a repository."""
        sizes = {
            file: self.announced_size.get(file, len(data)) for file, data in self.repos[self.repo_of(path)].items()
        }
        return [{"type": "file", "path": file, "size": size, "oid": "0" * 40} for file, size in sizes.items()]

    @staticmethod
    def repo_of(path: str) -> str:
        """The repository of /api/models/owner/name/..."""
        return "/".join(path.split("/")[3:5])

    def _object(self, wanted: dict) -> dict:
        upload = {"href": f"{self.url}/objects/{wanted['oid']}", "header": {}}
        have = wanted["oid"] in self.objects
        return {"oid": wanted["oid"], "size": wanted["size"], **({} if have else {"actions": {"upload": upload}})}

    def _commit(self, repo: str, lines: list[dict]) -> None:
        self.commits += 1
        files = self.repos.setdefault(repo, {})
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]


@contextmanager
def serving_repositories() -> Iterator[Repositories]:
    """Run `Repositories` on a free port of 127.0.0.1."""
    hub = Repositories()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hub.requests.append((self.command, self.path, None))
            if self.path.startswith("/api/") and "/tree/" in self.path:
                if hub.repo_of(self.path) not in hub.repos:
                    self._send(404, {"X-Error-Code": "RepoNotFound"}, b"")
                    return
                self._send(200, {"Content-Type": "application/json"}, json.dumps(hub.tree(self.path)).encode())
            else:
                self._send(*hub.answer(self.path.removeprefix("/datasets"), None))

        do_HEAD = do_GET

        def do_POST(self) -> None:
            hub.requests.append((self.command, self.path, None))
            status, value = hub.post(self.path.split("?")[0], self._body())
            self._send(status, {"Content-Type": "application/json"}, json.dumps(value).encode())

        def do_PUT(self) -> None:
            body = self._body()
            digest = hashlib.sha256(body).hexdigest()
            hub.objects[digest] = body
            hub.put.append(digest)
            self._send(200, {}, b"")

        def _body(self) -> bytes:
            if "Content-Length" in self.headers:
                return self.rfile.read(int(self.headers["Content-Length"]))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield hub
        server.shutdown()


@pytest.fixture
def repositories(monkeypatch):
    """`Repositories` that the client of this process asks, as somebody who may write."""
    with serving_repositories() as server:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", server.url)
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        yield server
