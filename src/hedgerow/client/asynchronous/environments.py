"""Sandbox environments (contract 11.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from hedgerow.client import answers
from hedgerow.client.asynchronous.caller import Caller
from hedgerow.client.calls import delete, get, patch, post
from hedgerow.client.places import quoted

if TYPE_CHECKING:
    from hedgerow.client.answers.environments import SandboxEnvironment
    from hedgerow.client.answers.pages import Page
    from hedgerow.client.fields import EnvironmentFields

_PATH = "sandbox_environments/"


class EnvironmentCalls(Caller):
    """What one can do with sandbox environments."""

    async def list_sandbox_environments(self, *, limit: int = 100, offset: int = 0) -> Page[SandboxEnvironment]:
        """The project's public environments and the caller's own: one page. Some fields are left out."""
        return await self._ask(get(_PATH, limit=limit, offset=offset), answers.pages.page_of(answers.environments.environment_from))

    async def create_sandbox_environment(self, **fields: Unpack[EnvironmentFields]) -> SandboxEnvironment:
        """A new environment, which needs a name; private, and with the whole network, unless said otherwise."""
        return await self._ask(post(_PATH, {**fields}), answers.environments.environment_from)

    async def retrieve_sandbox_environment(self, environment_id: str) -> SandboxEnvironment:
        """The environment with that id."""
        return await self._ask(get(f"{_PATH}{quoted(environment_id)}/"), answers.environments.environment_from)

    async def update_sandbox_environment(self, environment_id: str, **fields: Unpack[EnvironmentFields]) -> SandboxEnvironment:
        """Change fields of an environment; the others stay as they are."""
        return await self._ask(patch(f"{_PATH}{quoted(environment_id)}/", {**fields}), answers.environments.environment_from)

    async def delete_sandbox_environment(self, environment_id: str) -> None:
        """Delete an environment for good."""
        await self._answer(delete(f"{_PATH}{quoted(environment_id)}/"))
