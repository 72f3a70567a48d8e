"""What a failed git command means, in one sentence."""

import re
from dataclasses import dataclass

from hedgerow.domain.errors import HedgerowError, InvalidError, PassingError, UnavailableError
from hedgerow.repositories.urls import CloneUrl, mask

_DETAIL_LIMIT = 300
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x1f\x7f\x80-\x9f\udc80-\udcff]")
_NOISE = re.compile(r"^(remote: ?$|hint:|warning:|Cloning into|From |To |Please make sure|and the repository exists|\s*[!*=+] \[)")
_PREFIX = re.compile(r"^(remote: |fatal: |error: )+")


@dataclass(frozen=True, slots=True)
class _Meaning:
    """A pattern of git's own words (in the C locale), and what they mean. `{url}` and `{found}` are filled in."""

    pattern: re.Pattern[str]
    sentence: str
    error: type[HedgerowError] = UnavailableError


def _meaning(pattern: str, sentence: str, error: type[HedgerowError] = UnavailableError) -> _Meaning:
    return _Meaning(re.compile(pattern, re.IGNORECASE), sentence, error)


_NO_ACCESS = "The repository {url} was not found, or the git credentials of hedgerow's operator do not open it."
_MEANINGS = (
    _meaning(r"couldn't find remote ref (?P<found>\S+)", "There is no {found} in {url}.", InvalidError),
    _meaning(r"No space left on device", "The disk is full: git could not write what it read from {url}."),
    _meaning(r"Disk quota exceeded", "The disk quota is used up: git could not write what it read from {url}."),
    _meaning(
        r"detected dubious ownership",
        "The repository {url} belongs to another account than hedgerow, so git does not trust it (safe.directory).",
    ),
    _meaning(
        r"Could not resolve (host|hostname|proxy)", "The host of {url} could not be found: check the name and the network.", PassingError
    ),
    _meaning(r"Host key verification failed", "The ssh host key of {url} is not known or has changed: connect once by hand with ssh."),
    _meaning(r"SSL certificate|server certificate|certificate verify", "The TLS certificate of {url} could not be verified."),
    _meaning(
        r"Connection refused|Failed to connect|Couldn't connect|Network is unreachable|No route to host",
        "The host of {url} could not be reached.",
        PassingError,
    ),
    _meaning(r"timed out|Operation too slow", "The host of {url} did not answer in time.", PassingError),
    _meaning(
        r"could not read (Username|Password)|Authentication failed|Permission denied \(|returned error: 40[13]|HTTP 40[13]"
        r"|Repository not found|repository '.*' not found|returned error: 404|project you were looking for could not be found"
        r"|access denied or repository not exported|Invalid username or (password|token)",
        _NO_ACCESS,
    ),
    _meaning(
        r"insufficient permission|unable to (create|open|write).*Permission denied|Permission denied",
        "git may not read or write {url}: permission denied.",
    ),
    _meaning(r"does not appear to be a git repository|not a git repository", "{url} is not a git repository.", InvalidError),
    _meaning(
        r"unsupported protocol|transport '.*' not allowed|is not a git command|Unable to find remote helper",
        "git cannot speak the protocol of {url}.",
    ),
    _meaning(
        r"early EOF|hung up|unexpected disconnect|RPC failed|returned error: 5\d\d", "The connection to {url} broke off.", PassingError
    ),
)


def failure(url: CloneUrl, errors: str) -> HedgerowError:
    """The error that git's stderr amounts to; it never holds a secret of `url`."""
    for meaning in _MEANINGS:
        match = meaning.pattern.search(errors)
        if match is not None:
            found = _plain(match.groupdict().get("found") or "")
            return meaning.error(mask(meaning.sentence.format(url=url.clean, found=found), url.secrets), attr="clone_url")
    return UnavailableError(f"git could not read {url.clean}: {summary(errors, url.secrets)}", attr="clone_url")


def summary(errors: str, secrets: tuple[str, ...] = ()) -> str:
    """The line of git's stderr that says most, without control characters, prefixes and secrets; at most 300 characters."""
    lines = [line for line in (_plain(line) for line in errors.splitlines()) if line and not _NOISE.match(line)]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))]
    line = _PREFIX.sub("", (telling or lines or ["it gave no reason."])[0])
    return mask(line, secrets)[:_DETAIL_LIMIT]


def _plain(text: str) -> str:
    return _CONTROL.sub("", text).strip()
