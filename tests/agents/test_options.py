from hedgerow.agents.options import without_secrets


def test_programs_that_are_no_agents_get_no_keys_and_nothing_of_hedgerows_own() -> None:
    environment = {
        "PATH": "/usr/bin",
        "HTTPS_PROXY": "http://proxy.test",
        "ANTHROPIC_API_KEY": "1",
        "CLAUDE_CODE_OAUTH_TOKEN": "2",
        "OPENAI_API_KEY": "3",
        "CODEX_API_KEY": "4",
        "HEDGEROW_SECRET_KEY": "5",
        "HEDGEROW_DATABASE_URL": "6",
    }
    assert without_secrets(environment) == {"PATH": "/usr/bin", "HTTPS_PROXY": "http://proxy.test"}
