"""Services that a project is connected with."""

import pytest

from hedgerow.domain.errors import NotFoundError
from hedgerow.domain.integrations import IntegrationKind
from hedgerow.operations import integrations
from tests.operations.conftest import Desk


async def test_a_secret_is_kept_encrypted_and_opened_again(desk: Desk) -> None:
    made = await integrations.connect(
        desk.backends, desk.project.id, IntegrationKind.SLACK, display_name="Team", secret="xoxb-very-secret", config={"team": "T1"}
    )
    assert made.config == {"team": "T1"}
    assert made.sealed_secret is not None
    assert b"very-secret" not in made.sealed_secret
    assert "very-secret" not in repr(made)
    assert integrations.secret_of(desk.backends, made) == "xoxb-very-secret"


async def test_the_oldest_of_a_kind_counts(desk: Desk) -> None:
    first = await integrations.connect(desk.backends, desk.project.id, IntegrationKind.GITHUB, display_name="one")
    await integrations.connect(desk.backends, desk.project.id, IntegrationKind.GITHUB, display_name="two")
    async with desk.backends.database.transaction() as tx:
        assert await integrations.first_of_kind(tx, desk.project.id, IntegrationKind.GITHUB) == first
        assert await integrations.first_of_kind(tx, desk.project.id, IntegrationKind.SLACK) is None


async def test_a_removed_one_is_gone_and_another_projects_is_never_there(desk: Desk) -> None:
    made = await integrations.connect(desk.backends, desk.project.id, IntegrationKind.GITHUB, display_name="one", secret="s")
    with pytest.raises(NotFoundError):
        await integrations.disconnect(desk.backends, desk.project.id + 1, made.id)
    await integrations.disconnect(desk.backends, desk.project.id, made.id)
    with pytest.raises(NotFoundError):
        await integrations.disconnect(desk.backends, desk.project.id, made.id)
