"""Where messages stand once one of them is moved."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from hedgerow.domain.messages import Message, MessageStatus, places

RUN = UUID(int=99)


def waiting(*positions: int) -> list[Message]:
    """Messages that wait at these places; the id of each is its place."""
    return [
        Message(
            id=UUID(int=place),
            run_id=RUN,
            position=place,
            content="",
            status=MessageStatus.QUEUED,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for place in positions
    ]


@pytest.mark.parametrize(
    ("moved", "position", "order"),
    [
        (7, 1, [7, 3, 5]),
        (7, 3, [7, 3, 5]),
        (7, 4, [3, 7, 5]),
        (3, 5, [5, 3, 7]),
        (3, 6, [5, 7, 3]),
        (3, 1000, [5, 7, 3]),
        (5, 5, [3, 5, 7]),
    ],
)
def test_a_moved_message_gets_the_nearest_place_and_the_places_stay(moved: int, position: int, order: list[int]) -> None:
    placed = places(waiting(3, 5, 7), UUID(int=moved), position)

    assert sorted(placed.values()) == [3, 5, 7]
    assert sorted(placed, key=placed.__getitem__) == [UUID(int=place) for place in order]


def test_the_only_one_stays_where_it_is() -> None:
    assert places(waiting(4), UUID(int=4), 1) == {UUID(int=4): 4}


def test_what_was_taken_waits_no_more() -> None:
    message = waiting(1)[0]
    assert message.waiting
    for change in ({"taken_at": message.created_at}, {"status": MessageStatus.FAILED}):
        assert not Message(**{name: getattr(message, name) for name in Message.__slots__} | change).waiting
