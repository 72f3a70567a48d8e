"""Histories on disk, and the command that checks them."""

import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from hedgerow.checker import HistoryError, Recorder, read_history, write_history
from hedgerow.checker.records import Frame, Leftover
from tests.checker.correct import correct_history
from tests.checker.mutations import double_a_frame

LEFTOVER = Leftover(at=1.0, client="c", run="r", what="a process")


def test_a_history_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    history = correct_history(Random(1))
    write_history(tmp_path / "history.jsonl", history)
    assert read_history(tmp_path / "history.jsonl") == history


def test_a_recorder_has_written_each_record_when_it_returns_and_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    recorder = Recorder(path)
    recorder.add(LEFTOVER)
    assert read_history(path) == [LEFTOVER] == list(recorder.history)
    recorder.close()
    with path.open("ab") as file:
        file.write(b'{"record":"leftover","at":2.0,"cli')
    assert read_history(path) == [LEFTOVER]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[]", "line 2: Expected `object`"),
        ("{", "line 2"),
        ('{"record":"wish"}', "line 2: Invalid value 'wish' - at `$.record`"),
        ('{"record":"leftover","at":"early","client":"c","run":"r","what":"w"}', "line 2: Expected `float`"),
        ('{"record":"leftover","at":1}', "line 2: Object missing required field"),
        ('{"record":"leftover","at":1,"client":"c","run":"r","what":"w","colour":1}', "line 2: Object contains unknown field `colour`"),
    ],
)
def test_what_is_no_record_is_named_by_its_line(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "history.jsonl"
    write_history(path, [LEFTOVER])
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(HistoryError, match=re.escape(words)):
        read_history(path)


def checked(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "hedgerow.checker", *map(str, arguments)], capture_output=True, text=True, timeout=30)


def test_the_command_says_what_held_and_what_was_refuted(tmp_path: Path) -> None:
    history = correct_history(Random(2))
    write_history(tmp_path / "good.jsonl", history)
    answer = checked(tmp_path / "good.jsonl")
    assert (answer.returncode, answer.stdout.count(": held, ")) == (0, 7)
    double_a_frame(history, Random(2))
    write_history(tmp_path / "bad.jsonl", history)
    answer = checked(tmp_path / "bad.jsonl")
    assert answer.returncode == 1
    assert "(b) a doubled event: event " in answer.stdout


def test_the_command_takes_the_files_of_several_processes_as_one_history(tmp_path: Path) -> None:
    history = correct_history(Random(3))
    frames = [record for record in history if isinstance(record, Frame)]
    write_history(tmp_path / "one.jsonl", [record for record in history if not isinstance(record, Frame)])
    write_history(tmp_path / "two.jsonl", frames)
    assert checked(tmp_path / "one.jsonl", tmp_path / "two.jsonl").returncode == 0


def test_the_command_names_a_file_that_is_no_history(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("nothing\n")
    answer = checked(tmp_path / "bad.jsonl")
    assert answer.returncode == 2
    assert "line 1" in answer.stderr
    assert checked(tmp_path / "none.jsonl").returncode == 2
