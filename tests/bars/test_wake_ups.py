"""Wake-ups only nudge: nothing depends on a NOTIFY. Here the database drops every one."""

import psycopg
import pytest

from tests.bars.conftest import bar_on
from tests.bars.test_readers import note


def drop_every_notify(url: str) -> None:
    """Let `pg_notify` do nothing, in every session that begins from now on."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS ''")
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET search_path = public, pg_catalog")


async def test_wake_ups_only_nudge_a_stream(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drop_every_notify(database_url)
    async with bar_on(database_url) as writer, bar_on(database_url) as far:
        looks: list[int] = []
        look = far.backends.hub._look_once

        async def counted() -> None:
            looks.append(1)
            await look()

        monkeypatch.setattr(far.backends.hub, "_look_once", counted)
        run = await writer.run()
        async with far.unread(run, key=writer.key) as stream:
            await stream.begun()
            for number in range(100):
                await writer.append(run, note(number))
            await writer.end(run)
            before = len(looks)
            frames = await stream.frames()
    assert len(looks) <= before + 1, "what had come before the next look was not delivered by it"
    assert frames.ids == list(range(1, 103))
    assert [event["n"] for event in frames.events if "n" in event] == list(range(100))
