"""Sandbox environments (contract 11.1)."""

from typing import Unpack

from hedgerow.client.answers.environments import SandboxEnvironment, environment_from
from hedgerow.client.answers.pages import Page, page_of
from hedgerow.client.asynchronous.caller import Caller
from hedgerow.client.calls import delete, get, patch, post
from hedgerow.client.fields import EnvironmentFields
from hedgerow.client.places import quoted

_PATH = "sandbox_environments/"


class EnvironmentCalls(Caller):
    """What one can do with sandbox environments."""

    async def list_sandbox_environments(self, *, limit: int = 100, offset: int = 0) -> Page[SandboxEnvironment]:
        """The project's public environments and the caller's own: one page. Some fields are left out."""
        return await self._ask(get(_PATH, limit=limit, offset=offset), page_of(environment_from))

    async def create_sandbox_environment(self, **fields: Unpack[EnvironmentFields]) -> SandboxEnvironment:
        """A new environment, which needs a name; private, and with the whole network, unless said otherwise."""
        return await self._ask(post(_PATH, {**fields}), environment_from)

    async def retrieve_sandbox_environment(self, environment_id: str) -> SandboxEnvironment:
        """The environment with that id."""
        return await self._ask(get(f"{_PATH}{quoted(environment_id)}/"), environment_from)

    async def update_sandbox_environment(self, environment_id: str, **fields: Unpack[EnvironmentFields]) -> SandboxEnvironment:
        """Change fields of an environment; the others stay as they are."""
        return await self._ask(patch(f"{_PATH}{quoted(environment_id)}/", {**fields}), environment_from)

    async def delete_sandbox_environment(self, environment_id: str) -> None:
        """Delete an environment for good."""
        await self._answer(delete(f"{_PATH}{quoted(environment_id)}/"))
