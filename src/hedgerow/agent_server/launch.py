"""What `POST /session` says: how to start the agent, and the secrets that it needs. Lives in memory only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from hedgerow.agent_server.giving_up import GiveUp
from hedgerow.domain.permission_requests import PermissionPolicy
from hedgerow.domain.runs import RunMode
from hedgerow.domain.sandboxes import HostPort


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """A checked request to start the agent."""

    run_token: str = field(repr=False)
    epoch: int
    mode: RunMode
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    variables: Mapping[str, str] = field(repr=False, default_factory=dict)  # of the project: set before everything else, all secret
    session_meta: Mapping[str, Any] = field(repr=False, default_factory=dict)
    agent_mode: str | None = None
    model: str | None = None
    reasoning_effort: str | None = None
    files: Mapping[str, str] = field(repr=False, default_factory=dict)  # path below the agent's home -> text
    gives_up: tuple[GiveUp, ...] = ()
    relays: tuple[HostPort, ...] = ()
    tells_thread: bool = False  # what the agent says in a turn is posted into a thread
    asks_in_thread: bool = False  # and so are its questions, for whoever asked for the run is there
    lease_seconds: float | None = None  # how long the node may be silent before the agent stops; None: for ever
    background_permissions: PermissionPolicy | None = None  # the operator's, for runs in the background; None: what is asked is allowed


def session_request(body: Any) -> SessionRequest:
    """Read the body of `POST /session`; ValueError names the field that is wrong."""
    _check(isinstance(body, dict), "The body must be a JSON object.")
    agent = body.get("agent")
    _check(isinstance(agent, dict), "agent must be an object.")
    command, environment = agent.get("command"), agent.get("environment", {})
    _check(isinstance(command, list) and command and all(_plain(part) for part in command), "agent.command must be a list of strings.")
    variables = agent.get("variables", {})
    _check(_are_plain(environment), "agent.environment must be an object of strings.")
    _check(_are_plain(variables), "agent.variables must be an object of strings.")
    meta = agent.get("session_meta") or {}
    _check(isinstance(meta, dict), "agent.session_meta must be an object.")
    _check(_plain(body.get("run_token")), "run_token must be a string.")
    epoch = body.get("epoch", 0)
    _check(isinstance(epoch, int) and not isinstance(epoch, bool), "epoch must be a whole number.")
    return SessionRequest(
        run_token=body["run_token"],
        epoch=epoch,
        mode=RunMode.BACKGROUND if body.get("mode") == RunMode.BACKGROUND else RunMode.INTERACTIVE,
        command=tuple(command),
        environment=environment,
        variables=variables,
        session_meta=meta,
        agent_mode=_optional(agent, "mode"),
        model=_optional(agent, "model"),
        reasoning_effort=_optional(agent, "reasoning_effort"),
        files=_files(agent.get("files") or {}),
        gives_up=_gives_up(agent.get("gives_up") or []),
        relays=_relays(body.get("relays") or []),
        tells_thread=body.get("tells_thread") is True,
        asks_in_thread=body.get("asks_in_thread") is True,
        lease_seconds=_seconds(body.get("lease_seconds")),
        background_permissions=_policy(body.get("background_permissions")),
    )


def _check(holds: object, sentence: str) -> None:
    if not holds:
        raise ValueError(sentence)


def _plain(value: object) -> bool:
    """Whether a value can stand in a command line, an environment or a header."""
    return isinstance(value, str) and "\0" not in value


def _are_plain(values: object) -> bool:
    return isinstance(values, dict) and all(_plain(name) and _plain(value) for name, value in values.items())


def _optional(agent: Mapping[str, Any], name: str) -> str | None:
    value = agent.get(name)
    _check(value is None or isinstance(value, str), f"agent.{name} must be a string or null.")
    return value or None


def _seconds(given: object) -> float | None:
    sound = given is None or (isinstance(given, int | float) and not isinstance(given, bool) and 0 < given < math.inf)
    _check(sound, "lease_seconds must be a number of seconds above 0, or null.")
    return None if given is None else float(given)  # type: ignore[arg-type]


def _policy(given: object) -> PermissionPolicy | None:
    if given is None:
        return None
    policy = next((policy for policy in PermissionPolicy if policy == given), None)
    if policy is None:
        raise ValueError(f"background_permissions must be one of {', '.join(PermissionPolicy)}, or null.")
    return policy


def _files(given: Any) -> Mapping[str, str]:
    sound = isinstance(given, dict) and all(_plain(path) and isinstance(text, str) for path, text in given.items())
    inside = sound and all(path and not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts for path in given)
    _check(inside, "agent.files must be an object of texts by their paths below the agent's home.")
    files: Mapping[str, str] = given
    return files


def _gives_up(rules: Any) -> tuple[GiveUp, ...]:
    shape = "agent.gives_up must be a list of objects with a pattern and a sentence."
    _check(isinstance(rules, list) and all(isinstance(rule, dict) for rule in rules), shape)
    _check(all(isinstance(rule.get("pattern"), dict) and rule["pattern"] and _plain(rule.get("sentence")) for rule in rules), shape)
    return tuple(GiveUp(rule["pattern"], rule["sentence"]) for rule in rules)


def _relays(addresses: Any) -> tuple[HostPort, ...]:
    _check(isinstance(addresses, list), "relays must be a list of host:port strings.")
    found = []
    for address in addresses:
        host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
        _check(host and port.isascii() and port.isdigit() and 0 < int(port) < 65536, "relays must be a list of host:port strings.")
        found.append(HostPort(host.removeprefix("[").removesuffix("]"), int(port)))
    return tuple(found)
