"""Where a repository lies: clone URLs, taken apart so that their secrets travel separately and the rest may be shown."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hedgerow.domain.errors import InvalidError

MASK = "***"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*::")
_SCP = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]*)@)?(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\]):(?P<path>[^-].*)", re.DOTALL
)
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?|[0-9a-f:.]*:[0-9a-f:.]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~+-]*")
_DEFAULT_PORTS = {"http": 80, "https": 443, "ssh": 22, "git": 9418}
_PASSWORD_IN_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@'\"]*:[^\s/@'\"]*@")
_USER_IN_HTTP_URL = re.compile(r"(https?://)[^\s/@'\"]+@", re.IGNORECASE)


class Transport(StrEnum):
    """How git reaches a repository."""

    HTTP = "http"
    SSH = "ssh"
    GIT = "git"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneUrl:
    """A checked clone URL. `clean` is what git is given, what people see and what a workspace is told; it holds no secret."""

    transport: Transport
    clean: str
    username: str | None = field(default=None, repr=False)  # of an http URL only: there it may itself be a token
    password: str | None = field(default=None, repr=False)

    @property
    def path(self) -> Path:
        """The folder of a local repository."""
        assert self.transport is Transport.LOCAL
        return Path(self.clean)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown, in every spelling in which git may repeat it."""
        return tuple(value for value in (self.password, self.username) if value)


def parse_clone_url(text: str, *, allow_local: bool) -> CloneUrl:
    """Take a clone URL apart.

    http(s), ssh (also as `user@host:path`) and git URLs are taken; absolute paths and file:// only with `allow_local`. Everything that
    git would hand to a helper program, or could take for an option, is refused. Raises InvalidError (attr `clone_url`).
    """
    if not text or text.startswith("-") or any(ord(letter) < 32 or ord(letter) == 127 for letter in text) or not text.isprintable():
        raise _invalid("A clone URL must be a plain URL without control characters that does not begin with a dash.")
    if text.startswith("/"):
        return _local(text, allow_local)
    if _HELPER.match(text):
        raise _invalid("A clone URL of the form helper::address is not allowed; use https, ssh or git.")
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _scp(text)
    if " " in text and scheme[1].lower() != "file":
        raise _invalid("A clone URL must not contain spaces.")
    return _with_scheme(text, scheme[1].lower(), allow_local)


def mask(text: str, secrets: tuple[str, ...] = ()) -> str:
    """`text` without the given secrets, and without whatever else stands in a URL where user and password stand."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _USER_IN_HTTP_URL.sub(rf"\1{MASK}@", _PASSWORD_IN_URL.sub(rf"\1{MASK}@", text))


def _with_scheme(text: str, scheme: str, allow_local: bool) -> CloneUrl:
    if scheme == "file":
        return _file(text, allow_local)
    if scheme not in _DEFAULT_PORTS:
        raise _invalid(f"A clone URL with {scheme}:// is not allowed; use https, ssh or git.")
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise _invalid("The clone URL cannot be read: its host or port is not valid.") from None
    if not _HOST.fullmatch(host):
        raise _invalid("The clone URL names no valid host.")
    if parts.query or parts.fragment or not parts.path.strip("/") or parts.path.startswith("/-"):
        raise _invalid("The clone URL must end with the path of a repository.")
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None and port != _DEFAULT_PORTS[scheme] else ""
    path = parts.path.rstrip("/")
    if scheme in {"http", "https"}:
        username, password = (unquote(value) if value else None for value in (parts.username, parts.password))
        return _http(f"{scheme}://{place}{path}", username, password)
    if parts.password is not None or (parts.username is not None and not _USER.fullmatch(parts.username)):
        raise _invalid(f"A clone URL with {scheme}:// may carry a user name, never a password.")
    user = f"{parts.username}@" if parts.username else ""
    return CloneUrl(transport=Transport(scheme), clean=f"{scheme}://{user}{place}{path}")


def _http(clean: str, username: str | None, password: str | None) -> CloneUrl:
    if any(letter < " " or letter == "\x7f" for letter in (username or "") + (password or "")):
        raise _invalid("The user name and password of a clone URL must not contain control characters.")
    return CloneUrl(transport=Transport.HTTP, clean=clean, username=username, password=password)


def _scp(text: str) -> CloneUrl:
    match = _SCP.fullmatch(text)
    if match is None or not match["path"].strip("/") or " " in text:
        raise _invalid("A clone URL must be an https, ssh or git URL, user@host:path, or the absolute path of a local repository.")
    user = f"{match['user']}@" if match["user"] else ""
    path = match["path"].rstrip("/")
    return CloneUrl(transport=Transport.SSH, clean=f"{user}{match['host'].lower()}:{path}")


def _file(text: str, allow_local: bool) -> CloneUrl:
    host, slash, path = text[len("file://") :].partition("/")
    if host not in {"", "localhost"} or not slash:
        raise _invalid("A file:// URL must name a path of this machine, as in file:///path/to/repository.")
    return _local(f"/{unquote(path)}", allow_local)


def _local(text: str, allow_local: bool) -> CloneUrl:
    if not allow_local:
        raise _invalid("Local repositories are not allowed here; the operator can allow them with HEDGEROW_ALLOW_LOCAL_REPOSITORIES.")
    if not text.isprintable():
        raise _invalid("The path of a local repository must not contain control characters.")
    path = re.sub(r"/+", "/", text).rstrip("/") or "/"
    if ".." in path.split("/") or path == "/":
        raise _invalid("The path of a local repository must be absolute and must not contain `..`.")
    return CloneUrl(transport=Transport.LOCAL, clean=path)


def _invalid(message: str) -> InvalidError:
    return InvalidError(message, attr="clone_url")
