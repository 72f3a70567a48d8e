"""`python -m hedgerow.checker FILE …`: checks a history. Exit code 0: held; 1: refuted; 2: no history."""

import argparse
import sys
from pathlib import Path

from hedgerow.checker import Bounds, HistoryError, check, read_history


def main(arguments: list[str] | None = None) -> int:
    """Check the files that were named; the exit code."""
    bounds = Bounds()
    parser = argparse.ArgumentParser(prog="python -m hedgerow.checker", description="Checks what clients recorded against the guarantees.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSON lines; several files are one history")
    parser.add_argument("--end-seconds", type=float, default=bounds.end_seconds, help="from a start until the run has ended")
    parser.add_argument("--leave-seconds", type=float, default=bounds.leave_seconds, help="from a run's end until nothing of it is left")
    chosen = parser.parse_args(arguments)
    try:
        report = check(read_history(*chosen.files), Bounds(end_seconds=chosen.end_seconds, leave_seconds=chosen.leave_seconds))
    except (HistoryError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write("".join(f"{line}\n" for line in report.lines()))
    return 0 if report.held else 1


if __name__ == "__main__":
    sys.exit(main())
