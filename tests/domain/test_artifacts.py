"""What artifacts are called, where they lie, and how large they may be."""

from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.domain.artifacts import (
    ArtifactRules,
    ArtifactType,
    file_name,
    is_media_type,
    largest_bytes,
    new_id,
    run_shelf,
    safe_name,
    staged_shelf,
)

RULES = ArtifactRules()
TASK, RUN = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("notes.txt", "notes.txt"),
        (" a b.txt ", "a b.txt"),
        ("handoff/1.pack", "1.pack"),
        ("C:\\Users\\ada\\plan.md", "plan.md"),
        ("..", "artifact"),
        ("a/..", "artifact"),
        ("/", "artifact"),
        (".hidden", ".hidden"),
        ("a\r\nb", "a__b"),
    ],
)
def test_a_name_is_the_last_part_of_a_path(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_name_that_is_too_long_keeps_its_ending() -> None:
    assert file_name("字" * 300 + ".tar.gz") == "字" * 65 + ".gz"
    assert file_name("x" * 300) == "x" * 200
    assert safe_name("字" * 300 + ".tar.gz") == "字" * 169 + ".gz"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from([(safe_name, 512), (file_name, 200)]))
def test_any_name_becomes_one_that_stays_as_it_is_and_finds_its_way_home(name: str, kind: tuple[Callable[[str], str], int]) -> None:
    named, longest_bytes = kind
    safe = named(name)
    assert safe not in {"", ".", ".."}
    assert not set("/\\\0\n") & set(safe)
    assert len(safe.encode()) <= longest_bytes
    assert named(safe) == safe
    artifact_id = new_id()
    for shelf in (run_shelf(RULES, 1, TASK, RUN), staged_shelf(RULES, 1, TASK)):
        path = shelf.path(artifact_id, safe)
        assert shelf.holds(path, artifact_id)
        assert not shelf.holds(path, "0" * 32) or artifact_id.startswith("0" * 8)
        assert not shelf.holds(path + "/deeper", artifact_id)


def test_shelves_hold_what_is_theirs_alone() -> None:
    artifact_id = new_id()
    mine, other = run_shelf(RULES, 1, TASK, RUN), run_shelf(RULES, 1, TASK, TASK)
    assert not other.holds(mine.path(artifact_id, "a"), artifact_id)
    assert not mine.holds(staged_shelf(RULES, 1, TASK).path(artifact_id, "a"), artifact_id)
    assert mine.path(artifact_id, "a").startswith(f"tasks/artifacts/team_1/task_{TASK}/run_{RUN}/{artifact_id[:8]}_a")


def test_only_a_pdf_that_a_person_attaches_has_the_smaller_limit() -> None:
    attachment, other = ArtifactType.USER_ATTACHMENT, ArtifactType.OUTPUT
    assert largest_bytes(RULES, "a.PDF", "", attachment) == 10_485_760
    assert largest_bytes(RULES, "a", "Application/PDF ; x=y", attachment) == 10_485_760
    assert largest_bytes(RULES, "a.pdf", "application/pdf", other) == 31_457_280
    assert largest_bytes(ArtifactRules(largest_bytes=5), "a.pdf", "", attachment) == 5


def test_a_media_type_can_stand_in_a_header() -> None:
    assert is_media_type("text/plain; charset=utf-8")
    assert is_media_type("")
    assert not any(map(is_media_type, ["a\nb", "a\x00", "ü", "x" * 256]))
