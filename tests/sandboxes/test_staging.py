"""How folders are reached that the account of sandboxes cannot walk to."""

from pathlib import Path

from hedgerow.domain.sandboxes import Mount
from hedgerow.sandboxes.staging import stage

ACCOUNT = (61000, 61000)


def test_folders_of_one_parent_are_bound_with_it_and_others_by_themselves(tmp_path: Path) -> None:
    run, alone, closed = tmp_path / "run", tmp_path / "alone", tmp_path / "closed"
    outside = tmp_path / "outside"
    for folder in (run / "workspace", run / "home", alone / "mirror", closed / "one", closed / "two", outside):
        folder.mkdir(parents=True)
    (run / "link").symlink_to(outside)
    tmp_path.chmod(0o700)
    run.chmod(0o711)
    closed.chmod(0o700)
    paths = [run / "workspace", run / "home", run / "link", alone / "mirror", closed / "one", closed / "two"]
    staging = stage([Mount(path) for path in paths], ACCOUNT)
    bound = [str(run), str(run / "link"), str(alone / "mirror"), str(closed / "one"), str(closed / "two")]
    assert list(staging.command[-len(bound) - 1 :]) == [str(len(bound)), *bound]
    place = Path(staging.command[-len(bound) - 2])
    assert dict(staging.sources) == {
        run / "workspace": place / "0" / "workspace",
        run / "home": place / "0" / "home",
        run / "link": place / "1",
        alone / "mirror": place / "2",
        closed / "one": place / "3",
        closed / "two": place / "4",
    }


def test_folders_that_the_account_reaches_are_not_staged() -> None:
    assert stage([Mount(Path("/usr"))], ACCOUNT).command == ()
