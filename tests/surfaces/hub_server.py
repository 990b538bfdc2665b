"""A stand-in for a model hub: what huggingface_hub asks of one, for one folder, on this machine."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

COMMIT, TAG = "0123456789abcdef0123456789abcdef01234567", "v1"
OWN = "someone/tiny"


class Hub:
    """What is served, and what was asked.

    Attributes:
        folder: The repository's files.
        gated: Whether its terms must be accepted first.
        breaks_after: The bytes after which the connection is lost, once; None for never.
        asked: Each file that was fetched.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.gated, self.url = folder, False, ""
        self.breaks_after: int | None = None
        self.asked: list[str] = []

    @property
    def files(self) -> dict[str, Path]:
        return {
            path.relative_to(self.folder).as_posix(): path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


@contextmanager
def serving(folder: Path) -> Iterator[Hub]:  # noqa: C901  one handler, nested where it is used
    """The hub, answering at its ``url``."""
    hub = Hub(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None: ...

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = unquote(self.path.partition("?")[0]).strip("/")
            parts = path.split("/")
            if parts[:2] == ["api", "models"]:
                self._told("/".join(parts[2:4]), parts[4:])
            elif "resolve" in parts:
                at = parts.index("resolve")
                self._file("/".join(parts[:at]), parts[at + 1], "/".join(parts[at + 2 :]), body)
            else:
                self._refused(404, "EntryNotFound")

        def _refused(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _is_there(self, repo: str, revision: str) -> bool:
            if repo != OWN:
                self._refused(404, "RepoNotFound")
            elif hub.gated:
                self._refused(403, "GatedRepo")
            elif revision not in {"main", TAG, COMMIT}:
                self._refused(404, "RevisionNotFound")
            else:
                return True
            return False

        def _told(self, repo: str, rest: list[str]) -> None:
            revision = rest[1] if len(rest) > 1 else "main"
            if not self._is_there(repo, revision):
                return
            if rest[:1] == ["tree"]:
                content: Any = [
                    {"type": "file", "path": name, "size": file.stat().st_size, "oid": _oid(file)}
                    for name, file in hub.files.items()
                ]
            else:
                siblings = [{"rfilename": name} for name in hub.files]
                content = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings}
            data = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _file(self, repo: str, revision: str, name: str, body: bool) -> None:
            if not self._is_there(repo, revision):
                return
            file = hub.files.get(name)
            if file is None:
                self._refused(404, "EntryNotFound")
                return
            data = file.read_bytes()
            begin = 0
            if wanted := self.headers.get("Range"):
                begin = int(wanted.removeprefix("bytes=").split("-")[0])
            self.send_response(206 if begin else 200)
            self.send_header("ETag", f'"{_oid(file)}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Accept-Ranges", "bytes")
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - begin))
            self.end_headers()
            if not body:
                return
            hub.asked.append(f"{name}@{begin}" if begin else name)
            if hub.breaks_after is not None and name.endswith(".safetensors"):
                end, hub.breaks_after = begin + hub.breaks_after, None
                self.wfile.write(data[begin:end])
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(data[begin:])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _oid(file: Path) -> str:
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()
