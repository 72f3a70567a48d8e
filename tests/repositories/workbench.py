"""Real repositories to test on, and a small HTTP server that serves them as any git host does."""

import base64
import os
import stat
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hedgerow.repositories import Checkout, Repositories

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_CONFIG_KEY_1": "protocol.file.allow",
    "GIT_CONFIG_VALUE_1": "always",
}


def git(folder: Path, *arguments: str, stdin: str | None = None) -> str:
    """Run git as a person would, and return what it says."""
    finished = subprocess.run(["git", *arguments], cwd=folder, env=ENVIRONMENT, input=stdin, capture_output=True, text=True)
    assert finished.returncode == 0, (arguments, finished.stderr)
    return finished.stdout.strip()


def commit(repository: Path, files: Mapping[str, str], message: str = "A change") -> str:
    """Write files and commit them; the commit's name."""
    for name, content in files.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(content)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", message)
    return git(repository, "rev-parse", "HEAD")


def make_repository(folder: Path, *options: str) -> Path:
    """A repository with one commit on main."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main", *options)
    commit(folder, {"README.md": "Hello\n", "src/app.py": "print('hello')\n"}, "First")
    return folder


def objects(repository: Path) -> set[str]:
    """The files in which a repository keeps its objects."""
    return {str(path.relative_to(repository)) for path in (repository / "objects").rglob("*") if path.is_file()}


def names(folder: Path) -> list[str]:
    """What a folder holds."""
    return sorted(entry.name for entry in folder.iterdir())


def holds(folder: Path, text: str) -> bool:
    """Whether any file below a folder holds a text."""
    return any(text.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def tree(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Every file with its mode and its bytes; the repositories' own folders left out, and folders that hold nothing."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if ".git" in path.relative_to(folder).parts:
            continue
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()).encode())
        elif path.is_file():
            found[name] = ("exec" if path.stat().st_mode & stat.S_IXUSR else "file", path.read_bytes())
    return found


def standing(folder: Path) -> list[str]:
    """How a workspace stands, as git tells it."""
    told = [git(folder, "status", "--porcelain=v1", "-uall", "-b"), git(folder, "ls-files", "-s"), git(folder, "rev-parse", "HEAD")]
    return [*told, git(folder, "for-each-ref", "refs/heads"), git(folder, "log", "--format=%H %s")]


@dataclass(frozen=True)
class Run:
    """A run's folders, as the worker makes them."""

    folder: Path

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def result(self) -> Path:
        return self.folder / "result"

    def git(self, *arguments: str) -> str:
        """Run git in the workspace, as the agent would."""
        return git(self.workspace, *arguments)


def collect(repositories: Repositories, run: Run, checkout: Checkout, message: str = "Do the task") -> None:
    """Run the collecting command, as the one-shot sandbox does."""
    command = repositories.collect_command(
        workspace=run.workspace, result=run.result, mirror=checkout.mirror, base_commit=checkout.base_commit, message=message
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(run.folder)}
    subprocess.run(command, env=environment, cwd=run.folder, check=True, timeout=60, capture_output=True)


@dataclass
class GitHost:
    """A git host on loopback. `credentials` (user, password) are asked for where given; `requests` are what came in."""

    root: Path
    port: int = 0
    credentials: tuple[str, str] | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def allows(self, header: str | None) -> bool:
        if self.credentials is None:
            return True
        return header == "Basic " + base64.b64encode(":".join(self.credentials).encode()).decode()


@contextmanager
def serve(root: Path) -> Iterator[GitHost]:
    """Serve every repository below `root` over HTTP, for reading and for pushing."""
    host = GitHost(root)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, host)

        def do_POST(self) -> None:
            _answer(self, host)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class gives
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(handler: BaseHTTPRequestHandler, host: GitHost) -> None:
    length = int(handler.headers.get("Content-Length") or 0)
    body = _chunked(handler) if handler.headers.get("Transfer-Encoding") == "chunked" else handler.rfile.read(length)
    host.requests.append((handler.command, handler.path))
    if not host.allows(handler.headers.get("Authorization")):
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", 'Basic realm="git"')
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    finished = subprocess.run(["git", "http-backend"], env=_cgi(handler, host), input=body, capture_output=True)
    head, _, content = finished.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
    handler.send_response(int(headers.pop("Status", "200").split()[0]))
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    with suppress(BrokenPipeError):  # a git that was ended does not wait for the answer
        handler.wfile.write(content)


def _cgi(handler: BaseHTTPRequestHandler, host: GitHost) -> dict[str, str]:
    path, _, query = handler.path.partition("?")
    return {
        **ENVIRONMENT,
        "GIT_PROJECT_ROOT": str(host.root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_METHOD": handler.command,
        "CONTENT_TYPE": handler.headers.get("Content-Type") or "",
        "HTTP_CONTENT_ENCODING": handler.headers.get("Content-Encoding") or "",
        "GIT_PROTOCOL": handler.headers.get("Git-Protocol") or "",
        "REMOTE_USER": "ada",
        "REMOTE_ADDR": "127.0.0.1",
    }


def _chunked(handler: BaseHTTPRequestHandler) -> bytes:
    body = b""
    while size := int(handler.rfile.readline(), 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body
