"""The interface over HTTP: who is let in, what is refused and how, and what the event stream holds."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.agent_server.sandbox import Sandbox


async def test_callers_without_a_good_token_are_refused(sandbox: Sandbox) -> None:
    forged = _forged(sandbox, rsa.generate_private_key(65537, 2048))
    for header, code in [
        (None, "invalid_token"),
        ("Basic abc", "invalid_token"),
        ("Bearer nonsense", "invalid_token"),
        (f"Bearer {sandbox.token(exp=time.time() - 10)}", "expired"),
        (f"Bearer {sandbox.token(aud='somebody else')}", "invalid_token"),
        (f"Bearer {forged}", "invalid_signature"),
    ]:
        headers = {} if header is None else {"Authorization": header}
        for method, path in [("GET", "/events"), ("POST", "/command"), ("POST", "/session")]:
            answer = await sandbox.http.request(method, path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, code), (method, path, header)


async def test_a_token_of_another_run_finds_no_session(sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {sandbox.token(run_id='0199aaaa-0000-7000-8000-000000000000')}"}
    answer = await sandbox.http.post("/command", headers=headers, json={})
    assert (answer.status_code, answer.json()) == (400, {"error": "No active session for this run"})


async def test_unknown_paths_and_commands_without_a_session(sandbox: Sandbox) -> None:
    for method, path in [("GET", "/"), ("POST", "/health"), ("GET", "/command"), ("DELETE", "/session"), ("GET", "/events/")]:
        answer = await sandbox.http.request(method, path)
        assert (answer.status_code, answer.json()) == (404, {"error": "Not found"})
    for command in ("cancel", "close"):
        assert (await sandbox.command(command)).json() == {"error": "No active session for this run"}


async def test_an_envelope_that_is_wrong_is_a_400(sandbox: Sandbox) -> None:
    for body, sentence in [
        (b"", "The body must be a JSON object."),
        (b"\xff", "The body must be a JSON object."),
        (b"[" * 100_000, "The body must be a JSON object."),
        (b"[]", 'The body must be a JSON-RPC 2.0 object with "jsonrpc": "2.0".'),
        (b'{"jsonrpc":"2.0"}', "method must be a string."),
        (b'{"jsonrpc":"2.0","method":"cancel","params":[]}', "params must be an object."),
        (b'{"jsonrpc":"2.0","method":"cancel","id":{}}', "id must be a string, a number or null."),
    ]:
        answer = await sandbox.http.post("/command", content=body, headers=sandbox.headers)
        assert (answer.status_code, answer.json()) == (400, {"error": sentence})


async def test_a_session_request_that_is_wrong_names_its_field(sandbox: Sandbox) -> None:
    sound: dict[str, Any] = {"run_token": "t", "epoch": 1, "agent": {"command": ["true"]}}
    changes: list[tuple[dict[str, Any], str]] = [
        ({"run_token": 1}, "run_token must be a string."),
        ({"epoch": "1"}, "epoch must be a whole number."),
        ({"agent": {"command": []}}, "agent.command must be a list of strings."),
        ({"agent": {"command": ["a"], "environment": {"A": 1}}}, "agent.environment must be an object of strings."),
        ({"agent": {"command": ["a"], "model": 1}}, "agent.model must be a string or null."),
        ({"relays": ["here"]}, "relays must be a list of host:port strings."),
    ]
    for change, sentence in changes:
        answer = await sandbox.http.post("/session", json=sound | change, headers=sandbox.headers)
        assert (answer.status_code, answer.json()) == (400, {"error": sentence})


async def test_wrong_params_and_methods_are_part_of_the_answer(sandbox: Sandbox) -> None:
    await sandbox.session()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("sing", {}),
        ("user_message", {}),
        ("user_message", {"content": "  "}),
        ("user_message", {"content": [1]}),
        ("user_message", {"content": "hi", "message_id": ""}),
        ("permission_response", {"requestId": "a"}),
        ("set_config_option", {"configId": "mode", "value": 1}),
        ("close", {"timeout_seconds": "long"}),
    ]
    for method, params in calls:
        answer = await sandbox.command(method, **params)
        assert (answer.status_code, answer.json()["error"]["code"]) == (200, -32602), method
    failed = await sandbox.command("set_config_option", configId="effort", value="high")
    assert failed.json()["error"]["code"] == -32000


async def test_blocks_may_come_packed_in_a_string(sandbox: Sandbox) -> None:
    await sandbox.session()
    packed = "__twig_cloud_prompt_v1__:" + json.dumps({"blocks": [{"type": "text", "text": '[{"say": "Unpacked."}]'}]})
    answer = await sandbox.command("_posthog/user_message", content=packed)
    assert answer.json()["result"]["assistant_message"] == "Unpacked."


async def test_a_body_beyond_the_bound_is_refused(sandbox: Sandbox) -> None:
    answer = await sandbox.http.post("/command", content=b" " * (33 * 1024 * 1024), headers=sandbox.headers)
    assert answer.status_code == 413
    assert (await sandbox.http.get("/health")).status_code == 200


async def test_any_number_of_readers_sees_every_event_with_its_id(sandbox: Sandbox) -> None:
    async with _reading(sandbox) as early, _reading(sandbox) as other:
        await sandbox.session()
        await sandbox.play({"burst": 50}, {"say": "Read me."})
        await sandbox.control_plane.until_method("_posthog/turn_complete")
        count = len(sandbox.spooled())
        for reader in (early, other):
            events = [await anext(reader) for _ in range(count + 1)]
            assert events[0] == (None, {"type": "connected", "run_id": sandbox.run_id})
            numbered = [event for event in events[1:] if event[0] is not None]
            while len(numbered) < count:
                event = await anext(reader)
                numbered += [event] if event[0] is not None else []
            assert numbered == list(enumerate(sandbox.spooled(), start=1))


async def test_a_reader_goes_on_after_the_last_event_that_it_saw(sandbox: Sandbox) -> None:
    await sandbox.session()
    await sandbox.play({"burst": 1200})
    await sandbox.command("close")
    spooled = sandbox.spooled()
    for after in (0, 3, 999, 1000, 1001, len(spooled) - 1):
        async with _reading(sandbox, {"Last-Event-ID": str(after)}) as reader:
            assert (await anext(reader))[1]["type"] == "connected"
            assert await anext(reader) == (after + 1, spooled[after])
    for wrong in ("-1", "x", str(len(spooled) + 1)):
        answer = await sandbox.http.get("/events", headers=sandbox.headers | {"Last-Event-ID": wrong})
        assert answer.status_code == 400


class _reading:  # noqa: N801 - reads as a verb
    """Reads the event stream as (id, data) pairs."""

    def __init__(self, sandbox: Sandbox, headers: dict[str, str] | None = None) -> None:
        self._context = sandbox.http.stream("GET", "/events", headers=sandbox.headers | (headers or {}))

    async def __aenter__(self) -> AsyncIterator[tuple[int | None, dict[str, Any]]]:
        response = await self._context.__aenter__()
        assert response.headers["content-type"] == "text/event-stream"
        return _events(response)

    async def __aexit__(self, *error: Any) -> None:
        await self._context.__aexit__(*error)


async def _events(response: httpx.Response) -> AsyncIterator[tuple[int | None, dict[str, Any]]]:
    number: int | None = None
    async for line in response.aiter_lines():
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("data: "):
            yield number, json.loads(line[6:])
            number = None


def _forged(sandbox: Sandbox, key: rsa.RSAPrivateKey) -> str:
    return jwt.encode({"run_id": sandbox.run_id, "aud": "posthog:sandbox_connection", "exp": time.time() + 60}, key, "RS256")
