"""What is looked for in a repository's files, and what it amounts to (contract 10)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

MOST_EVENT_NAMES = 100

SOURCE_EXTENSIONS = frozenset({".ts", ".tsx", ".js", ".jsx", ".py", ".go", ".java", ".rb", ".php", ".cs"})
FOREIGN_FOLDERS = frozenset({"node_modules", "dist", "build", "coverage", ".next", "vendor"})
"""Folders of what others wrote, or a tool has made: nothing in them says anything about the repository."""

FRONTEND_MARKERS = frozenset({"package.json", *(f"{tool}.config.{end}" for tool in ("next", "vite", "nuxt") for end in ("js", "ts"))})
BACKEND_MARKERS = frozenset({"pyproject.toml", "requirements.txt", "go.mod", "Cargo.toml", "pom.xml", "build.gradle", "build.gradle.kts"})
_FRONTEND_EXTENSIONS = frozenset({".tsx", ".jsx"})
_BACKEND_EXTENSIONS = frozenset({".py", ".go", ".java", ".rs"})
_TELLING_EXTENSIONS = _FRONTEND_EXTENSIONS | _BACKEND_EXTENSIONS

INIT = "posthog.init("
CAPTURE = "posthog.capture("
ERROR_SIGNALS = ("posthog.captureexception(", "sentry.init(", "capture_exception(", "reportexception(")
NEEDLES = (INIT, CAPTURE, *ERROR_SIGNALS)
"""In lower case. A file that holds none of them, in whatever case, tells nothing."""

_EVENT_NAME = re.compile(
    r"""posthog\.capture\(\s*(?:"([^"\\\x00-\x1f]{1,200})"|'([^'\\\x00-\x1f]{1,200})'|`([^`\\$\x00-\x1f]{1,200})`)""",
    re.IGNORECASE | re.ASCII,
)
_BINARY_WITHIN = 8000  # characters at a file's beginning among which a NUL makes it a binary one, as git sees it


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What the names of a repository's files say about its kind."""

    frontend_markers: int = 0
    backend_markers: int = 0
    frontend_files: bool = False
    backend_files: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a scan has found. The default is an empty scan, which a failed one counts as."""

    files_scanned: int = 0
    detected_files: int = 0
    event_names: tuple[str, ...] = ()  # distinct, sorted, at most MOST_EVENT_NAMES
    found_init: bool = False
    found_capture: bool = False
    found_error_signal: bool = False
    traits: Traits = field(default_factory=Traits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What one file says."""

    init: bool = False
    capture: bool = False
    error_signal: bool = False
    event_names: frozenset[str] = frozenset()

    @property
    def any(self) -> bool:
        """Whether it says anything."""
        return self.init or self.capture or self.error_signal


def is_candidate(path: str) -> bool:
    """Whether the file is source code of the repository's own, and so worth a look."""
    folder, _, name = path.rpartition("/")
    lowered = name.lower()
    return _extension(lowered) in SOURCE_EXTENSIONS and not lowered.endswith(".min.js") and not _is_foreign(folder)


def traits_of(paths: Iterable[str]) -> Traits:
    """What the names of all files say. Files of others do not count."""
    frontend = backend = 0
    extensions: set[str] = set()
    for path in paths:
        folder, _, name = path.rpartition("/")
        if not _is_foreign(folder):
            frontend += name in FRONTEND_MARKERS
            backend += name in BACKEND_MARKERS
            extension = _extension(name.lower())
            if extension in _TELLING_EXTENSIONS:
                extensions.add(extension)
    return Traits(
        frontend_markers=frontend,
        backend_markers=backend,
        frontend_files=not extensions.isdisjoint(_FRONTEND_EXTENSIONS),
        backend_files=not extensions.isdisjoint(_BACKEND_EXTENSIONS),
    )


def signals_in(text: str) -> Signals:
    """What a file's text says; nothing for a binary file."""
    if "\x00" in text[:_BINARY_WITHIN]:
        return Signals()
    lowered = text.lower()
    capture = CAPTURE in lowered
    return Signals(
        init=INIT in lowered,
        capture=capture,
        error_signal=any(signal in lowered for signal in ERROR_SIGNALS),
        event_names=frozenset(filter(None, (_first_group(match) for match in _EVENT_NAME.finditer(text)))) if capture else frozenset(),
    )


def with_signals(scan: Scan, found: Iterable[Signals]) -> Scan:
    """A scan that knows of further files as well. Never keeps more event names than it may."""
    telling = [signals for signals in found if signals.any]
    names = set(scan.event_names).union(*(signals.event_names for signals in telling))
    return Scan(
        files_scanned=scan.files_scanned,
        detected_files=scan.detected_files + len(telling),
        event_names=tuple(sorted(names)[:MOST_EVENT_NAMES]),
        found_init=scan.found_init or any(signals.init for signals in telling),
        found_capture=scan.found_capture or any(signals.capture for signals in telling),
        found_error_signal=scan.found_error_signal or any(signals.error_signal for signals in telling),
        traits=scan.traits,
    )


@lru_cache(maxsize=1024)  # a folder's files come one after the other
def _is_foreign(folder: str) -> bool:
    return not FOREIGN_FOLDERS.isdisjoint(folder.split("/"))


def _extension(name: str) -> str:
    stem, dot, end = name.rpartition(".")
    return dot + end if stem else ""


def _first_group(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None).strip()
