"""How a command ends when it cannot do what was asked: one sentence on stderr and an exit code, never a traceback for a user's mistake."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

FAILED, USAGE, INTERRUPTED = 1, 2, 130


class UsageError(Exception):
    """What was typed cannot be meant. The message is one sentence that says what would be right."""


@contextmanager
def exit_cleanly() -> Iterator[None]:
    """Turn what a command raises into its last line and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe has had enough. What Python would still flush at its end has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Exception as error:
        sentence, code = _explain(error)
        if sentence is None:
            raise
        print(f"hedgerow: {sentence}", file=sys.stderr)
        sys.exit(code)


def _explain(error: Exception) -> tuple[str | None, int]:
    from hedgerow.cli.program import command_line
    from hedgerow.cli.safe_text import safe
    from hedgerow.domain.errors import HedgerowError

    if isinstance(error, UsageError):
        return safe(error), USAGE
    if isinstance(error, HedgerowError):
        return safe(error.message), FAILED
    if "hedgerow.client" not in sys.modules:
        return None, FAILED
    from hedgerow.client import ClientError, UnreachableError

    if isinstance(error, UnreachableError):
        return f"hedgerow does not answer at {error.url}; start it with `{command_line('up')}`.", FAILED
    if isinstance(error, ClientError):
        hint = f" `{command_line('up')}` starts it and writes them." if error.code == "no_credentials" else ""
        return safe(error.message) + hint, USAGE if error.code == "usage" else FAILED
    return None, FAILED
