"""The spool over restarts: the same batch again, nothing twice, nothing lost."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.agent_server.spool import Spool


def test_a_batch_that_was_not_acknowledged_is_cut_again_under_the_same_key(tmp_path: Path) -> None:
    first = Spool(tmp_path)
    for number in range(3):
        first.append(b"%d" % number)
    sent = first.next_batch()
    first.append(b"later")
    first.close()
    second = Spool(tmp_path)
    assert second.next_batch() == sent
    assert sent is not None
    second.acknowledge(sent)
    after = second.next_batch()
    assert after is not None
    assert (after.entries, after.key != sent.key) == ([b"later"], True)


def test_a_line_that_a_crash_left_unfinished_is_cut_off(tmp_path: Path) -> None:
    Spool(tmp_path).append(b"whole")
    for name in ("entries", "batches"):
        with (tmp_path / name).open("ab") as file:
            file.write(b"send 0 1" if name == "batches" else b"half an en")
    spool = Spool(tmp_path)
    spool.append(b"next")
    batch = spool.next_batch()
    assert batch is not None
    assert (spool.count, batch.entries) == (2, [b"whole", b"next"])


def test_batches_are_bounded_in_entries_and_bytes(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for size in (10, 5_000_000, 10, 10):
        spool.append(b"x" * size)
    sizes = []
    while (batch := spool.next_batch(2)) is not None:
        sizes.append([len(entry) for entry in batch.entries])
        spool.acknowledge(batch)
    assert sizes == [[10], [5_000_000], [10, 10]]


def test_a_refused_batch_is_cut_smaller_under_another_key(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(4):
        spool.append(b"%d" % number)
    whole = spool.next_batch()
    assert whole is not None
    spool.divide(whole)
    half = Spool(tmp_path).next_batch(2)
    assert half is not None
    assert (half.entries, half.key != whole.key) == ([b"0", b"1"], True)


@given(sizes=st.lists(st.integers(1, 600_000), max_size=12), restarts=st.sets(st.integers(0, 20)))
def test_whatever_is_written_is_read_back_in_order(tmp_path_factory: object, sizes: list[int], restarts: set[int]) -> None:
    folder = tmp_path_factory.mktemp("spool")  # type: ignore[attr-defined]
    spool = Spool(folder)
    written = [bytes([65 + index]) * size for index, size in enumerate(sizes)]
    for entry in written:
        spool.append(entry)
    read: list[bytes] = []
    step = 0
    while (batch := spool.next_batch(3)) is not None:
        if step in restarts:
            spool.close()
            spool = Spool(folder)
            again = spool.next_batch(3)
            assert again == batch
        read += batch.entries
        spool.acknowledge(batch)
        step += 1
    spool.close()
    assert read == written


def test_the_place_after_any_number_is_found(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(2500):
        spool.append(b"%d" % number)
    for number in (0, 1, 999, 1000, 1001, 2499):
        entries, _ = spool.read(spool.offset_after(number), entries=1)
        assert entries == [b"%d" % number]
    assert spool.read(spool.offset_after(2500)) == ([], spool.end)
