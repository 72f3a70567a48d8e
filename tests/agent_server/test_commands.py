"""Whatever a caller sends, it gets an answer that says what is wrong."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.agent_server.commands import ParamsError, prompt_blocks, read_call
from hedgerow.agent_server.launch import session_request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


def near(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that are nearly right: each field is sound, anything, or missing."""
    return st.fixed_dictionaries({}, optional={name: sound | JSON for name, sound in fields.items()})


def refusal(read: Callable[[Any], object], given: Any) -> str | None:
    """The sentence with which something is refused; None where it is taken."""
    try:
        read(given)
    except (ValueError, ParamsError) as error:
        return str(error)
    return None


def is_sentence(text: str | None) -> bool:
    return text is not None and text.endswith(".")


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_call_or_a_sentence(body: bytes) -> None:
    refused = refusal(read_call, body)
    assert refused is None or is_sentence(refused)


@given(near({"jsonrpc": st.just("2.0"), "method": st.text(), "params": st.just({}), "id": st.integers() | st.text() | st.none()}))
def test_any_envelope_is_a_call_or_a_sentence(envelope: dict[str, Any]) -> None:
    body = json.dumps(envelope).encode()
    refused = refusal(read_call, body)
    assert is_sentence(refused) or (read_call(body).method, read_call(body).id) == (envelope["method"], envelope.get("id"))


@given(near({"content": st.text() | st.just([{"type": "text", "text": "x"}]) | st.text().map("__twig_cloud_prompt_v1__:".__add__)}))
def test_any_message_is_blocks_or_a_sentence(params: dict[str, Any]) -> None:
    refused = refusal(prompt_blocks, params)
    assert is_sentence(refused) or all(isinstance(block["type"], str) for block in prompt_blocks(params))


_AGENT = near({"command": st.just(["a"]), "environment": st.just({"A": "b"}), "session_meta": st.just({}), "mode": st.text()})


@given(near({"run_token": st.text(), "epoch": st.integers(), "mode": st.text(), "agent": _AGENT, "relays": st.just(["::1:40"])}))
def test_any_session_request_is_read_or_a_sentence(body: dict[str, Any]) -> None:
    refused = refusal(session_request, body)
    assert refused is None or is_sentence(refused)
