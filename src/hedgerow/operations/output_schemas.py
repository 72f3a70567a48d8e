"""Whether a run's output fits the JSON Schema of its task.

Run as a program it reads {"schema", "output"} and writes what does not fit: small schemas exist whose check takes years, and only
a process of its own can be stopped.
"""

import asyncio
import json
import sys
from typing import Any

from hedgerow.domain.errors import RefusedError

_SECONDS = 10
_BYTES = 4 * 1024**3  # of addresses, most of which nothing stands behind
_LONGEST = 1000  # characters of what the validator says: it shows the whole value that does not fit


async def check_output(schema: Any, output: Any, *, timeout_seconds: float = _SECONDS) -> None:
    """Raise RefusedError, saying what does not fit, or that it could not be found out in time.

    References that lead out of the schema are not followed: anybody may write one.
    """
    question = json.dumps({"schema": schema, "output": output}).encode()
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL)
    try:
        answer, _ = await asyncio.wait_for(child.communicate(question), timeout_seconds)
    except TimeoutError:
        answer = b""
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise RefusedError("The output could not be checked against the task's json_schema: that takes too much time or memory.")
    if answer:
        raise RefusedError(answer.decode())


def misfit(schema: Any, output: Any) -> str | None:
    """What keeps an output from being accepted, in one sentence; None where it fits."""
    from jsonschema_rs import validator_for

    if not isinstance(schema, (dict, bool)):
        return "The task's json_schema is no JSON Schema: that is an object, true or false."
    try:
        validator = validator_for(schema, offline=True)
    except ValueError as problem:
        return f"The task's json_schema cannot be used: {_said(problem)}"
    try:
        validator.validate(output)
    except ValueError as problem:
        return f"The output does not fit the task's json_schema: {_said(problem)}"
    return None


def _said(problem: ValueError) -> str:
    """The validator's own sentence, and where in the output it looked."""
    message = str(getattr(problem, "message", problem))
    path = "".join(f"[{step!r}]" for step in getattr(problem, "instance_path", ()))
    text = f"{message} (at {path})" if path else message
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))


if __name__ == "__main__":
    _limit()
    asked = json.load(sys.stdin)
    sys.stdout.buffer.write((misfit(asked["schema"], asked["output"]) or "").encode("utf-8", "replace"))
