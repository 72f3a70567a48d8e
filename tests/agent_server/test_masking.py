"""The secrets of an environment are found by the names of its variables."""

import json

from hedgerow.agent_server.masking import secret_values


def test_values_of_secret_variables_are_secrets_and_places_are_not() -> None:
    environment = {
        "ANTHROPIC_API_KEY": "sk-ant-abcdefgh",
        "CLAUDE_CODE_OAUTH_TOKEN": "oauth-abcdefgh",
        "ANTHROPIC_BASE_URL": "http://user:hunter2hunter2@127.0.0.1:4000",
        "SSH_AUTH_SOCK": "/run/agent.sock",
        "HOME": "/home/somebody",
        "CODEX_AUTH": json.dumps({"tokens": {"id_token": "eyJhbGciOiJSUzI1NiJ9.x"}}),
    }
    found = set(secret_values(environment))
    assert {"sk-ant-abcdefgh", "oauth-abcdefgh", "hunter2hunter2", "eyJhbGciOiJSUzI1NiJ9.x"} <= found
    assert not {"/run/agent.sock", "/home/somebody"} & found
