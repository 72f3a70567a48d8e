"""`make bench`: every figure, as a table."""

import shutil
import tempfile
from pathlib import Path

from benchmarks import append, checkpoint, latency, many_runs, memory, readiness, run_start, stalled_reader, task_list, upload, volume
from benchmarks.house import House, running_house
from benchmarks.report import Figure, show
from hedgerow.db.embedded import EmbeddedPostgres


def _register(house: House, repository: Path) -> str:
    with house.client() as http:
        answer = http.post(f"/api/projects/{house.project_id}/repositories/", json={"clone_url": str(repository)})
        return str(answer.raise_for_status().json()["name"])


def _starts(sandbox: str) -> list[Figure]:
    with running_house(HEDGEROW_SANDBOX=sandbox) as house, tempfile.TemporaryDirectory(prefix="hedgerow-bench-") as folder:
        Path(folder).chmod(0o755)
        return run_start.measure(house, sandbox, _register(house, run_start.make_repository(Path(folder) / "sample")))


def _journal() -> list[Figure]:
    with running_house() as house:
        figures = [*memory.measure(house), *stalled_reader.measure(house)]
        postgres = EmbeddedPostgres(house.data_dir)
        database_url = postgres.start_or_join()
        try:
            figures += [*append.measure(house, database_url), *latency.measure(house, database_url)]
            return [*figures, *volume.measure(house, database_url), *task_list.measure(house, database_url)]
        finally:
            postgres.leave()


def _uploads() -> list[Figure]:
    with running_house(**upload.settings()) as house:
        return upload.measure(house)


def _readiness() -> list[Figure]:
    with running_house(**readiness.SETTINGS) as house, tempfile.TemporaryDirectory(prefix="hedgerow-bench-") as folder:
        Path(folder).chmod(0o755)
        return readiness.measure(house, _register(house, readiness.make_repository(Path(folder) / "large")))


def main() -> None:
    """Measure everything and print it."""
    figures = [*_starts("process"), *checkpoint.measure("process")]
    if shutil.which("bwrap") is None:
        print("bubblewrap is not installed: its start is not measured")
    else:
        figures += [*_starts("bubblewrap"), *checkpoint.measure("bubblewrap")]
    print(show(figures + many_runs.measure() + _journal() + _readiness() + _uploads()))


main()
