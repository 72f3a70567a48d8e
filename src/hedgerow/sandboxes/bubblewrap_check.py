"""Whether bubblewrap works on this machine, found out by starting a tiny sandbox, and if not, why."""

import sys
import tempfile
from pathlib import Path

from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.sandboxes import SandboxSpec
from hedgerow.sandboxes import bubblewrap_start
from hedgerow.sandboxes.base import SandboxProvider

_SWITCHES = (
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0; set it to 1"),
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces is 0; raise it"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor restricts user namespaces; give bwrap a profile, or set kernel.apparmor_restrict_unprivileged_userns to 0",
    ),
)


async def verify(provider: SandboxProvider) -> None:
    """Run `true` in a sandbox of `provider`. Raises UnavailableError with the reason where that fails."""
    if sys.platform != "linux":
        raise UnavailableError("Isolated sandboxes need Linux: bubblewrap stands on its namespaces.")
    bubblewrap_start.find_programs()
    with tempfile.TemporaryDirectory(prefix="hedgerow-check-") as folder:
        spec = _tiny(Path(folder))
        try:
            handle = await provider.create(spec)
        except UnavailableError as error:
            raise UnavailableError(f"Isolated sandboxes do not work on this machine: {_reason(error.message)}.") from error
        state = await provider.wait(handle)
        await provider.destroy(handle)
    if state.exit_code != 0:
        raise UnavailableError(f"Isolated sandboxes do not work on this machine: a tiny one ended with {state.describe()}.")


def _tiny(folder: Path) -> SandboxSpec:
    root = Path("/")
    return SandboxSpec(name="check", command=("true",), working_directory=root, home=root, mounts=(), log_file=folder / "log")


def _reason(sentence: str) -> str:
    """What switched user namespaces off, where that can be seen; else bubblewrap's own words."""
    words = sentence.removeprefix("The sandbox cannot be made: ").rstrip(".")
    for path, value, explanation in _SWITCHES:
        try:
            if Path(path).read_text().strip() == value:
                return f"{explanation} ({words})"
        except OSError:
            continue
    return words
