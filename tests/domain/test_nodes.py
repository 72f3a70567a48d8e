from uuid import UUID

from hedgerow.domain.nodes import NodeBeat, Watch, margin_seconds, pace_seconds

LEASE = 6.0
NODE = UUID(int=1)


def beat(number: int, node: UUID = NODE, lease_seconds: float = LEASE) -> NodeBeat:
    return NodeBeat(id=node, beat=number, lease_seconds=lease_seconds)


def lost_at(watch: Watch, moments: list[float], number: int = 7) -> list[float]:
    """When a node whose beat stands still was taken for lost, of the moments at which a reading succeeded."""
    return [moment for moment in moments if watch.note([beat(number)], moment)]


def test_a_node_is_lost_once_its_beat_was_seen_to_stand_still_for_longer_than_its_lease_and_a_margin() -> None:
    moments = [float(moment) for moment in range(100, 110)]
    assert lost_at(Watch(longest_gap_seconds=3.0), moments) == [107.0, 108.0, 109.0]


def test_a_node_whose_beat_goes_on_is_never_lost_however_rarely_it_is_read() -> None:
    watch = Watch(longest_gap_seconds=3.0)
    assert not any(watch.note([beat(number)], number * 3.0) for number in range(100))


def test_what_a_worker_has_not_watched_counts_for_nothing() -> None:
    watch = Watch(longest_gap_seconds=3.0)
    assert lost_at(watch, [0.0, 3.0, 6.0]) == []
    assert lost_at(watch, [1000.0, 1003.0, 1006.0]) == [], "the database was away, for the others as well"
    assert lost_at(watch, [1009.0]) == [1009.0]


def test_a_steady_clock_that_went_back_begins_the_watching_anew() -> None:
    watch = Watch(longest_gap_seconds=3.0)
    assert lost_at(watch, [100.0, 103.0, 106.0, 5.0, 8.0, 11.0, 14.0]) == [14.0]


def test_the_lease_that_counts_is_the_one_that_the_node_itself_has_named() -> None:
    patient = UUID(int=2)
    watch = Watch(longest_gap_seconds=3.0)
    found = [watch.note([beat(1), beat(1, patient, lease_seconds=60)], float(moment)) for moment in range(30)]
    assert {node.id for nodes in found for node in nodes} == {NODE}


def test_a_node_that_reported_meanwhile_is_watched_from_its_new_beat_on() -> None:
    watch = Watch(longest_gap_seconds=3.0)
    assert lost_at(watch, [0.0, 3.0, 6.0], number=1) == []
    assert lost_at(watch, [7.0, 9.0, 11.0, 13.0, 14.0], number=2) == [14.0]


def test_several_reports_fit_into_the_shortest_lease() -> None:
    assert pace_seconds(2.0) < 0.5
    assert pace_seconds(30.0) == 5.0
    assert pace_seconds(3600.0) == 5.0
    assert margin_seconds(2.0) == 0.5
