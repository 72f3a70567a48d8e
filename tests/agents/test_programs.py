"""Running the programs that installing needs."""

import sys
from pathlib import Path

import pytest

from hedgerow.agents.programs import ProgramFailedError, reason, run
from hedgerow.domain.errors import TimedOutError

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("npm error code ENOTFOUND\nnpm error network request to https://r.example failed", "the package registry cannot be reached"),
        ("npm error code ENOSPC\nnpm error nospc ENOSPC: no space left on device, write", "the disk is full"),
        (
            "npm error code EINTEGRITY\nnpm error sha512-a integrity checksum failed when using sha512",
            "sha512-a integrity checksum failed when using sha512",
        ),
        ("npm warn old lockfile\nnpm error code EACCES\nnpm error permission denied here", "permission denied here"),
        ("\x1b[31merror:\x1b[0m No solution found when resolving dependencies", "No solution found when resolving dependencies"),
        (
            "npm error code E401\nnpm error Unable to authenticate at https://me:secret@r.example/",
            "Unable to authenticate at https://r.example/",
        ),
        ("", "it ended with exit code 7"),
    ],
)
def test_pages_of_output_become_one_sentence(output: str, said: str) -> None:
    assert reason(output, 7) == said


async def test_what_a_program_writes_is_returned() -> None:
    assert await run((sys.executable, "-c", "print('here')"), environment={}, cwd=HERE, timeout_seconds=30) == "here\n"


async def test_a_program_that_fails_says_why() -> None:
    with pytest.raises(ProgramFailedError, match="everything is broken"):
        await run((sys.executable, "-c", "import sys; sys.exit('everything is broken')"), environment={}, cwd=HERE, timeout_seconds=30)


async def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ProgramFailedError, match="/nowhere/npm"):
        await run(("/nowhere/npm",), environment={}, cwd=HERE, timeout_seconds=30)


async def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(TimedOutError, match="did not finish"):
        await run((sys.executable, "-c", "import signal; signal.pause()"), environment={}, cwd=HERE, timeout_seconds=0.3)
