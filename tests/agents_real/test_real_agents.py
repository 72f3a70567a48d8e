"""The real Claude Code and the real Codex, driven over ACP in a plain process, against the scripted model."""

import time
from pathlib import Path

import pytest
from acp.exceptions import RequestError

from hedgerow.agent_server.giving_up import GiveUp, hopeless
from tests.agents_real.acp_drive import drive
from tests.agents_real.certificate import make_certificate
from tests.agents_real.conftest import KEY, Launcher
from tests.agents_real.egress_proxy import egress_proxy
from tests.agents_real.model_server import ModelServer

pytestmark = [pytest.mark.agents, pytest.mark.timeout(180)]

AGENTS = ("claude", "codex")


@pytest.mark.parametrize("agent", AGENTS)
async def test_an_agent_writes_a_file_and_runs_a_command(agent: str, model: ModelServer, launcher: Launcher, workspace: Path) -> None:
    prompt = f"Please:\nmodel: write {workspace}/greeting.txt hello there\nmodel: run cat greeting.txt > copy.txt\nmodel: say That was all."
    async with drive(launcher(agent, model.url), workspace) as session:
        result = await session.prompt(prompt)
    assert result["stopReason"] == "end_turn"
    assert (workspace / "greeting.txt").read_text() == "hello there\n"
    assert (workspace / "copy.txt").read_text() == "hello there\n"
    assert "That was all." in session.said
    assert len(session.updates("tool_call")) == 2


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_session_goes_on_over_several_turns(agent: str, model: ModelServer, launcher: Launcher, workspace: Path) -> None:
    async with drive(launcher(agent, model.url), workspace) as session:
        await session.prompt("model: say First.")
        await session.prompt("model: run touch second\nmodel: say Second.")
    assert "First." in session.said
    assert "Second." in session.said
    assert (workspace / "second").exists()


@pytest.mark.parametrize("agent", AGENTS)
async def test_the_model_gets_the_operators_key(agent: str, model: ModelServer, launcher: Launcher, workspace: Path) -> None:
    async with drive(launcher(agent, model.url), workspace) as session:
        await session.prompt("model: say Hello.")
    asked = [seen for seen in model.requests if seen.path in {"/v1/messages", "/v1/responses"}]
    assert asked
    assert {seen.key for seen in asked} == {KEY}


@pytest.mark.parametrize("agent", AGENTS)
async def test_commands_of_the_agent_do_not_inherit_a_key(agent: str, model: ModelServer, launcher: Launcher, workspace: Path) -> None:
    async with drive(launcher(agent, model.url), workspace) as session:
        await session.prompt("model: run env > variables.txt")
    variables = (workspace / "variables.txt").read_text()
    assert "HOME=" in variables
    assert KEY not in variables


@pytest.mark.parametrize("agent", AGENTS)
async def test_nothing_but_the_model_is_asked(agent: str, model: ModelServer, launcher: Launcher, workspace: Path) -> None:
    async with egress_proxy({}) as proxy:
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy.url)
        async with drive(launcher(agent, model.url), workspace, {**proxies, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}) as session:
            await session.prompt("model: say Hello.")
    assert "Hello." in session.said
    assert proxy.asked == []


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_model_on_another_host_is_reached_through_the_proxy(
    agent: str, launcher: Launcher, workspace: Path, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path, "models.test")
    variable = {"claude": "NODE_EXTRA_CA_CERTS", "codex": "SSL_CERT_FILE"}[agent]
    with ModelServer(certificate=(str(certificate.chain), str(certificate.key))) as model:
        async with egress_proxy({"models.test:443": model.port}) as proxy:
            launch = launcher(agent, "https://models.test", isolated=True, **{variable: str(certificate.authority)})
            async with drive(launch, workspace, _proxies(proxy.url)) as session:
                await session.prompt("model: say Over there.")
    assert [str(host) for host in launch.hosts] == ["models.test:443"]
    assert launch.relays == ()
    assert "Over there." in session.said
    assert set(proxy.asked) == {"models.test:443"}


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_model_without_tls_is_reached_through_the_proxy(
    agent: str, model: ModelServer, launcher: Launcher, workspace: Path
) -> None:
    async with egress_proxy({"models.test:8080": model.port}) as proxy:
        launch = launcher(agent, "http://models.test:8080", isolated=True)
        async with drive(launch, workspace, _proxies(proxy.url)) as session:
            await session.prompt("model: say Over there.")
    assert "Over there." in session.said
    assert set(proxy.asked) == {"models.test:8080"}


@pytest.mark.parametrize(("agent", "words"), [("claude", "Invalid API key"), ("codex", "401")])
async def test_a_refused_key_is_an_error_that_says_so(agent: str, words: str, launcher: Launcher, workspace: Path) -> None:
    with ModelServer(accepted_keys=frozenset({"another"})) as model:
        launch = launcher(agent, model.url)
        async with drive(launch, workspace, {"CLAUDE_CODE_MAX_RETRIES": "1"}) as session:
            with pytest.raises(RequestError) as caught:
                await session.prompt("Hello.")
    assert words in f"{caught.value} {caught.value.data}"
    rules = [GiveUp(rule.pattern, rule.sentence) for rule in launch.gives_up]
    assert not rules or any(hopeless(rules, message) for message in session.heard)


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_provider_in_trouble_is_given_up_within_a_minute(
    agent: str, model: ModelServer, launcher: Launcher, workspace: Path
) -> None:
    begun = time.monotonic()
    async with drive(launcher(agent, model.url), workspace) as session:
        with pytest.raises(RequestError):
            await session.prompt("model: fail 529 Overloaded", timeout_seconds=100)
    assert time.monotonic() - begun < 60


def _proxies(url: str) -> dict[str, str]:
    local = "127.0.0.1,localhost"
    return dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), url) | {"NO_PROXY": local, "no_proxy": local}
