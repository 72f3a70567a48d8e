"""A GitHub on loopback: its REST API, which checks tokens, gives pages, and can be told to refuse, to fail or to be silent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from hedgerow.integrations.github import GitHubApp

APP_ID = "4711"


@cache
def _app_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def app() -> GitHubApp:
    """The App that the fake knows."""
    return GitHubApp(id=APP_ID, private_key=_app_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def account(number: int, login: str, **more: Any) -> dict[str, Any]:
    """An account as GitHub shows it."""
    return {"id": number, "login": login, "type": "User", **more}


def repository(number: int, full_name: str) -> dict[str, Any]:
    """A repository as GitHub shows it."""
    return {"id": number, "name": full_name.partition("/")[2], "full_name": full_name, "default_branch": "main"}


@dataclass
class FakeGitHub:
    """What the fake knows, and what it was asked."""

    people: dict[str, dict[str, Any]] = field(default_factory=dict)  # by token
    repositories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by token
    branches: dict[str, list[str]] = field(default_factory=dict)  # by repository
    installations: dict[str, dict[str, Any]] = field(default_factory=dict)  # account by id
    lifetime: timedelta = timedelta(hours=1)  # of the tokens of installations
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)  # what it says next, instead of the truth
    silence: threading.Event = field(default_factory=threading.Event)  # while not set it does not answer
    asked: list[str] = field(default_factory=list)  # method and path
    heard: threading.Event = field(default_factory=threading.Event)  # set once it was asked
    minted: list[str] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.silence.set()


@contextmanager
def serve() -> Iterator[FakeGitHub]:
    """A fake that listens."""
    fake = FakeGitHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, fake)

        def do_POST(self) -> None:
            _answer(self, fake)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class gives
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        fake.silence.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(handler: BaseHTTPRequestHandler, fake: FakeGitHub) -> None:
    fake.asked.append(f"{handler.command} {handler.path}")
    fake.heard.set()
    fake.silence.wait(30)
    status, headers, body = fake.answers.pop(0) if fake.answers else _truth(handler, fake)
    with suppress(OSError):  # whoever has given up does not wait for the answer
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


def _truth(handler: BaseHTTPRequestHandler, fake: FakeGitHub) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(handler.path)
    path, query = unquote(parts.path).strip("/").split("/"), {name: values[0] for name, values in parse_qs(parts.query).items()}
    scheme, _, token = (handler.headers.get("Authorization") or "").partition(" ")
    found = _as_app(fake, handler.command, path) if scheme == "bearer" and _is_app(token) else _as_token(fake, token, path)
    if found is None:
        return (
            _said(404, {"message": "Not Found"})
            if token in fake.repositories or scheme == "bearer"
            else _said(401, {"message": "Bad credentials"})
        )
    if not isinstance(found, list):
        return _said(201 if handler.command == "POST" else 200, found)
    page, size = int(query.get("page", "1")), int(query.get("per_page", "30"))
    more = {}
    if len(found) > page * size:
        more = {"Link": f'<{fake.url}{parts.path}?per_page={size}&page={page + 1}>; rel="next"'}
    shown = found[(page - 1) * size : page * size]
    return _said(200, {"total_count": len(found), "repositories": shown} if path[0] == "installation" else shown, more)


def _said(status: int, body: Any, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    return status, headers or {}, json.dumps(body).encode()


def _is_app(token: str) -> bool:
    public = _app_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        return bool(jwt.decode(token, public, algorithms=["RS256"])["iss"] == APP_ID)
    except jwt.InvalidTokenError:
        return False


def _as_app(fake: FakeGitHub, method: str, path: list[str]) -> Any:
    if path == ["app"]:
        return {"slug": "hedge", "html_url": f"{fake.url}/apps/hedge"}
    if path[:2] != ["app", "installations"] or path[2] not in fake.installations:
        return None
    if method == "GET":
        return {"id": int(path[2]), "account": fake.installations[path[2]]}
    token = f"ghs_minted_{len(fake.minted) + 1}"
    fake.minted.append(token)
    fake.repositories[token] = fake.repositories.get(f"installation {path[2]}", [])
    return {"token": token, "expires_at": (datetime.now(UTC) + fake.lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")}


def _as_token(fake: FakeGitHub, token: str, path: list[str]) -> Any:
    if token not in fake.repositories and token not in fake.people:
        return None
    opened = fake.repositories.setdefault(token, [])
    if path == ["user"]:
        return fake.people.get(token)
    if path in (["user", "repos"], ["installation", "repositories"]):
        return opened if (path[0] == "installation") == token.startswith("ghs_") else None
    one = next((each for each in opened if path[:1] == ["repos"] and each["full_name"].lower() == "/".join(path[1:3]).lower()), None)
    if one is None or path[3:] not in ([], ["branches"]):
        return None
    return [{"name": name} for name in fake.branches.get(one["full_name"], [])] if path[3:] else one
