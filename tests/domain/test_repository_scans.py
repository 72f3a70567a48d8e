"""What counts as source code, and what its text says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.domain.repository_scans import (
    FOREIGN_FOLDERS,
    MOST_EVENT_NAMES,
    NEEDLES,
    Scan,
    Signals,
    Traits,
    is_candidate,
    signals_in,
    traits_of,
    with_signals,
)

paths = st.lists(st.text(alphabet="abc.jstpy-_ ", min_size=1, max_size=12), min_size=1, max_size=5).map("/".join)


@pytest.mark.parametrize("end", ["ts", "tsx", "js", "jsx", "py", "go", "java", "rb", "php", "cs", "PY"])
def test_source_files_are_candidates(end: str) -> None:
    assert is_candidate(f"src/deep/app.{end}")
    assert is_candidate(f"app.{end}")


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "Makefile",
        "py",
        "src/.py",
        "src.js/readme",
        "app.min.js",
        "src/APP.MIN.JS",
        "app.rs",
        "node_modules/x/index.js",
        "web/dist/app.js",
        "build/a.py",
        "coverage/a.js",
        "a/.next/b.js",
        "vendor/a.go",
    ],
)
def test_what_others_wrote_or_a_tool_made_is_none(path: str) -> None:
    assert not is_candidate(path)


def test_a_file_or_a_folder_that_is_only_named_alike_is_one() -> None:
    assert is_candidate("src/dist.js")
    assert is_candidate("rebuild/vendors/a.go")


@given(paths, st.sampled_from(sorted(FOREIGN_FOLDERS)), paths)
def test_nothing_below_a_foreign_folder_ever_counts(before: str, folder: str, after: str) -> None:
    path = f"{before}/{folder}/{after}"
    assert not is_candidate(path)
    assert traits_of([path, f"{before}/{folder}/package.json", f"{folder}/x.py"]) == Traits()


def test_names_of_files_tell_the_kind_of_a_repository() -> None:
    found = traits_of(["package.json", "web/vite.config.ts", "api/go.mod", "web/App.tsx", "main.rs", "my-package.json", "Go.mod"])
    assert found == Traits(frontend_markers=2, backend_markers=1, frontend_files=True, backend_files=True)
    assert traits_of([]) == traits_of(["LICENSE"]) == Traits()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PostHog.Init('key')", Signals(init=True)),
        ("posthog.capture('signed up')", Signals(capture=True, event_names=frozenset({"signed up"}))),
        ('posthog.capture(\n    "plan bought",\n)', Signals(capture=True, event_names=frozenset({"plan bought"}))),
        ("posthog.capture(`a`); POSTHOG.CAPTURE('b')", Signals(capture=True, event_names=frozenset({"a", "b"}))),
        ("posthog.capture(name)", Signals(capture=True)),
        ("posthog.capture(`user_${id}`)", Signals(capture=True)),
        ("posthog.capture('unended)", Signals(capture=True)),
        ("posthog.capture('')", Signals(capture=True)),
        (f"posthog.capture('{'x' * 201}')", Signals(capture=True)),
        ("posthog.captureException(e)", Signals(error_signal=True)),
        ("Sentry.init({})", Signals(error_signal=True)),
        ("sentry_sdk.capture_exception(e)", Signals(error_signal=True)),
        ("reportException(e)", Signals(error_signal=True)),
        ("posthog init", Signals()),
        ("\x00posthog.init(", Signals()),
    ],
)
def test_a_text_says_what_it_calls(text: str, expected: Signals) -> None:
    assert signals_in(text) == expected


@given(st.text())
def test_a_text_without_any_of_the_words_says_nothing(text: str) -> None:
    if not any(needle in text.lower() for needle in NEEDLES):
        assert not signals_in(text).any


@given(st.lists(st.frozensets(st.text(min_size=1, max_size=3), max_size=40), max_size=12), st.integers(min_value=1, max_value=5))
def test_event_names_are_the_first_in_order_however_the_files_come(files: list[frozenset[str]], at_once: int) -> None:
    scan = Scan()
    for begin in range(0, len(files), at_once):
        scan = with_signals(scan, [Signals(capture=True, event_names=names) for names in files[begin : begin + at_once]])
    assert scan.event_names == tuple(sorted(frozenset().union(*files)))[:MOST_EVENT_NAMES]
    assert scan.detected_files == len(files)


def test_files_that_say_nothing_are_not_counted() -> None:
    scan = with_signals(Scan(files_scanned=3), [Signals(), Signals(init=True), Signals(error_signal=True)])
    assert scan == Scan(files_scanned=3, detected_files=2, found_init=True, found_error_signal=True)
