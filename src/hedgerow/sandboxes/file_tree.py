"""The file tree of an isolated sandbox, as arguments of bwrap(1): the system read-only, a small /etc, and the given folders."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hedgerow.domain.sandboxes import Mount

_SYSTEM_FOLDERS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

# Only what programs need to find libraries, certificates, time zones and alternatives. No private keys, no accounts, no host settings.
_SYSTEM_SETTINGS = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
)


@dataclass(frozen=True, slots=True)
class Account:
    """The account that a sandbox knows itself by."""

    uid: int
    gid: int
    home: Path


def system() -> Iterator[str]:
    """The programs of this machine, read-only; an empty /tmp; devices and processes of the sandbox alone."""
    yield from ("--ro-bind", "/usr", "/usr")
    for folder in _SYSTEM_FOLDERS:
        yield from _system_folder(Path(folder))
    for path in _SYSTEM_SETTINGS:
        yield from ("--ro-bind-try", path, path)
    yield from ("--dev", "/dev", "--proc", "/proc", "--perms", "1777", "--tmpfs", "/tmp", "--perms", "1777", "--tmpfs", "/var/tmp")  # noqa: S108


def settings_files(account: Account) -> dict[str, str]:
    """The files of /etc that are made for the sandbox, by path."""
    return {
        "/etc/passwd": (
            f"root:x:0:0::/:/usr/sbin/nologin\nsandbox:x:{account.uid}:{account.gid}::{account.home}:/bin/sh\n"
            "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
        ),
        "/etc/group": f"root:x:0:\nsandbox:x:{account.gid}:\nnogroup:x:65534:\n",
        "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
        "/etc/hostname": "sandbox\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }


def folders(mounts: Sequence[Mount], sources: Mapping[Path, Path]) -> Iterator[str]:
    """The given folders, outer before inner, each under its own path; `sources` says where one stands outside when not there."""
    for mount in sorted(mounts, key=lambda mount: len(mount.path.parts)):
        source = sources.get(mount.path, mount.path)
        yield from ("--bind" if mount.writable else "--ro-bind", str(source), str(mount.path))


def _system_folder(folder: Path) -> tuple[str, ...]:
    """A merged system has links into /usr where others have folders."""
    if folder.is_symlink():
        return ("--symlink", str(folder.readlink()), str(folder))
    return ("--ro-bind-try", str(folder), str(folder))
