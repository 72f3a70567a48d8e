"""Both clients are one: what waits is made from what awaits."""

import inspect
import subprocess
import sys
from pathlib import Path

from hedgerow.client import AsyncClient, Client

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "src" / "hedgerow" / "client" / "blocking"


def test_the_committed_files_are_those_that_the_script_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "scripts" / "blocking-client"), str(tmp_path)], check=True)
    made = {path.name: path.read_text() for path in tmp_path.glob("*.py")}
    assert made == {path.name: path.read_text() for path in COMMITTED.glob("*.py")}


def test_both_clients_have_the_same_methods_with_the_same_words() -> None:
    def words(kind: type) -> dict[str, tuple[list[str], str | None]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: (list(inspect.signature(method).parameters), method.__doc__) for name, method in found if not name.startswith("_")}

    awaiting, waiting = words(AsyncClient), words(Client)
    awaiting["close"] = awaiting.pop("aclose")
    assert awaiting == waiting
    assert all(text for _, text in waiting.values())
