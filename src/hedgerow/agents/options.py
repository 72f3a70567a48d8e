"""What the operator's environment says to agents: keys, model addresses and certificates. Read here, in one place."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.sandboxes import HostPort

_SEEN_INSIDE = ("/usr/", "/etc/ssl/", "/etc/pki/tls/", "/etc/pki/ca-trust/extracted/")
_PORTS = {"http": 80, "https": 443}
_SECRETS = ("ANTHROPIC_", "CLAUDE_", "CODEX_", "HEDGEROW_", "OPENAI_")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """The operator's environment, given once when hedgerow starts. An empty variable counts as one that is not set."""

    environment: Mapping[str, str] = field(repr=False, default_factory=dict)

    def value(self, name: str) -> str | None:
        """One variable."""
        return self.environment.get(name, "").strip() or None

    def only(self, names: Iterable[str]) -> dict[str, str]:
        """Those of the variables that are set."""
        return {name: value for name in names if (value := self.value(name)) is not None}

    def text_of_file(self, path: Path) -> str | None:
        """The text of one of the operator's files; None where it is not there. Raises UnavailableError where it can't be read."""
        try:
            return path.read_text()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise UnavailableError(f"The file {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """What programs get that are no agents, such as git, npm and pip: keys of models and hedgerow's own settings are not theirs."""
    return {name: value for name, value in environment.items() if not name.startswith(_SECRETS)}


@dataclass(frozen=True, slots=True)
class Certificates:
    """The operator's own certificate authorities, as an agent gets them: variables, and a file below its home where it needs a copy."""

    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def certificates(options: AgentOptions, name: str, *, home: Path, isolated: bool) -> Certificates:
    """What the variable `name` (NODE_EXTRA_CA_CERTS, SSL_CERT_FILE) gives an agent. A sandbox sees no file outside the system's folders."""
    given = options.value(name)
    if given is None:
        return Certificates()
    if not isolated or given.startswith(_SEEN_INSIDE):
        return Certificates({name: given})
    text = options.text_of_file(Path(given))
    if text is None:
        return Certificates()
    inner = ".hedgerow/certificates.pem"
    return Certificates({name: str(home / inner)}, {inner: text})


def model_address(url: str, variable: str) -> HostPort:
    """The host and port that a base URL leads to. Raises UnavailableError, naming the variable, for anything but http and https."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        port = None
    if port is None or not parts.hostname or parts.scheme not in _PORTS:
        raise UnavailableError(f"{variable} must be an address like https://models.example.com, not {url!r}.")
    return HostPort(parts.hostname, port)


def is_loopback(address: HostPort) -> bool:
    """Whether an address is this machine's own, so that a sandbox reaches it only through a relay."""
    return address.host == "localhost" or address.host.endswith(".localhost") or address.host.startswith("127.") or address.host == "::1"
