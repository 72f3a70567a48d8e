import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.cli.safe_text import cut, cut_lines, duration, one_line, safe


@pytest.mark.parametrize(
    ("evil", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\after", "after"),
        ("\x9b2Jgone", "gone"),
        ("over\rwritten", "over�written"),
        ("a\r\nb", "a\nb"),
        ("back\x08space", "back�space"),
        ("abc\u202etxt.exe", "abc�txt.exe"),
        ("lone \ud800", "lone �"),
        ("a\tb", "a   b"),
    ],
)
def test_what_a_terminal_would_obey_is_taken_out(evil: str, shown: str) -> None:
    assert safe(evil) == shown


@given(st.text(alphabet=st.characters() | st.sampled_from("\x1b\x9b[]0;m\x07\\P"), max_size=60))
def test_nothing_that_comes_out_can_move_a_cursor(text: str) -> None:
    assert not [letter for letter in safe(text) if (ord(letter) < 32 and letter != "\n") or 127 <= ord(letter) < 160]


def test_wide_and_joined_characters_stay() -> None:
    assert safe("日本語 👩‍💻 é") == "日本語 👩‍💻 é"


def test_one_line_is_one_line() -> None:
    assert one_line("  a\n\n b\tc ") == "a b c"
    assert one_line("x" * 300, 10) == "xxxxxxxxx…"


def test_cutting_says_that_something_is_missing() -> None:
    assert cut("abc", 3) == "abc"
    assert cut_lines("1\n2\n3\n4", 3) == "1\n2\n… 2 more lines"
    assert cut_lines("1\n2\n3", 3) == "1\n2\n3"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0.0 s"), (0.34, "0.3 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations_read_like_a_stopwatch(seconds: float, words: str) -> None:
    assert duration(seconds) == words
