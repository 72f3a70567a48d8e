"""The few files that make a folder a git repository (gitrepository-layout), written by hand.

That is quicker than `git init`, and nothing of the operator's templates, hooks or defaults gets in.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

_Section = Mapping[str, str]


def write_bare(path: Path, *, object_format: str, alternates: Sequence[Path] = ()) -> None:
    """Make `path` a bare repository. It may be read by any account that can reach it, whatever the umask of this process is."""
    sections: dict[str, _Section] = {
        "core": {"bare": "true", "filemode": "true", "logAllRefUpdates": "false", "sharedRepository": "0644"},
        "gc": {"auto": "0"},
    }
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    write(path, sections, head="refs/heads/main", object_format=object_format, alternates=alternates)


def write(path: Path, sections: Mapping[str, _Section], *, head: str, object_format: str, alternates: Sequence[Path] = ()) -> None:
    """Make the existing empty folder `path` a git directory on the branch `head`, with objects shared from `alternates`."""
    for folder in (
        path / "objects",
        path / "objects" / "info",
        path / "objects" / "pack",
        path / "refs",
        path / "refs" / "heads",
        path / "info",
    ):
        folder.mkdir()
        folder.chmod(0o755)
    if alternates:
        (path / "objects" / "info" / "alternates").write_text("".join(f"{alternate}\n" for alternate in alternates))
    (path / "config").write_text(_config(sections, object_format))
    (path / "HEAD").write_text(f"ref: {head}\n")
    for file in ("config", "HEAD"):
        (path / file).chmod(0o644)


def object_format_of(commit: str) -> str:
    """The hash function that made the object name `commit`."""
    return "sha256" if len(commit) == 64 else "sha1"


def _config(sections: Mapping[str, _Section], object_format: str) -> str:
    versions: dict[str, str] = {"repositoryformatversion": "0"}
    extensions: dict[str, _Section] = {}
    if object_format != "sha1":
        versions, extensions = {"repositoryformatversion": "1"}, {"extensions": {"objectFormat": object_format}}
    everything: dict[str, _Section] = {**sections, "core": {**versions, **sections.get("core", {})}, **extensions}
    return "".join(_section(name, settings) for name, settings in everything.items())


def _section(name: str, settings: _Section) -> str:
    return f"[{name}]\n" + "".join(f"\t{key} = {_quoted(value)}\n" for key, value in settings.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
