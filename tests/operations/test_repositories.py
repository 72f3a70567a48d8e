import pytest

from hedgerow.domain.errors import ForbiddenError, InvalidError, NotFoundError
from hedgerow.domain.repositories import Repository
from hedgerow.operations import repositories
from tests.operations.conftest import Desk, new_desk


async def registered(desk: Desk, name: str | None, clone_url: str, setup_command: str | None = None) -> Repository:
    """A repository after its registration."""
    return await repositories.register(
        desk.backends, desk.caller, desk.project, name=name, clone_url=clone_url, setup_command=setup_command
    )


@pytest.mark.parametrize(
    "url", ["https://git.test/a/b.git", "ssh://git@git.test:22/a/b", "git@git.test:a/b.git", "http://127.0.0.1:9/x", "git://git.test/a"]
)
async def test_a_registered_name_stands_for_its_url(desk: Desk, url: str) -> None:
    await registered(desk, " Acme/Web ", "https://old.test/x")

    repository = await registered(desk, "acme/web", url, "make install")

    assert (repository.name, repository.setup_command) == ("acme/web", "make install")
    assert await repositories.resolve(desk.backends, desk.project.id, "acme/web") == url
    assert await repositories.list_repositories(desk.backends, desk.caller, desk.project) == [repository]


async def test_any_other_name_is_looked_for_at_the_operators_git_host(desk: Desk) -> None:
    other = await new_desk(desk.backends)
    await registered(desk, "acme/web", "https://git.test/a")

    assert await repositories.resolve(desk.backends, other.project.id, "acme/web") == "https://github.com/acme/web"
    internal = other.with_rules(git_base_url="https://git.internal/").backends
    assert await repositories.resolve(internal, other.project.id, "a/b") == "https://git.internal/a/b"


async def test_a_path_of_this_machine_gets_a_name_of_its_own(desk: Desk) -> None:
    local = desk.with_rules(allow_local_repositories=True)

    first = await registered(local, None, "/home/ada/My Project")
    again = await registered(local, "acme/web", "file:///home/ada/My%20Project/")
    other = await registered(local, None, "/home/bob/My Project")

    assert first.name.startswith("local/my-project-")
    assert (again.id, again.name, again.clone_url) == (first.id, first.name, "/home/ada/My Project")
    assert other.name != first.name
    assert await repositories.resolve(local.backends, desk.project.id, first.name) == "/home/ada/My Project"
    with pytest.raises(NotFoundError):
        await repositories.resolve(local.backends, desk.project.id, "local/unknown-1")


@pytest.mark.parametrize(
    ("name", "url", "attr"),
    [
        ("a/b", "", "clone_url"),
        ("a/b", "/srv/repo", "clone_url"),
        ("a/b", "file:///srv/repo", "clone_url"),
        ("a/b", "--upload-pack=x", "clone_url"),
        ("a/b", "ext::sh -c x", "clone_url"),
        ("a/b", "ext::sh", "clone_url"),
        ("a/b", "https://-x/y", "clone_url"),
        ("a/b", "https://user:secret@git.test/a", "clone_url"),
        ("a/b", "https://token@git.test/a", "clone_url"),
        ("a/b", "https://git.test/a\nb", "clone_url"),
        ("a/b", "https://[git.test/a", "clone_url"),
        ("a/b", "relative/path", "clone_url"),
        ("a/b", "-oProxyCommand@git.test:a", "clone_url"),
        ("a/b", "-x@git.test:a", "clone_url"),
        ("a/b", "git@git.test:-a", "clone_url"),
        ("a/b", "ssh://-oProxyCommand=x/a", "clone_url"),
        ("a/b", "https://git.test", "clone_url"),
        ("a/b", "https://git.test/a?token=secret", "clone_url"),
        ("a/b", "https://git.test/" + "a" * 2000, "clone_url"),
        ("a/b", "file://git.test/srv/repo", "clone_url"),
        ("nope", "https://git.test/a", "name"),
        (None, "https://git.test/a", "name"),
        ("local/x", "https://git.test/a", "name"),
    ],
)
async def test_what_git_must_not_be_given_is_refused(desk: Desk, name: str | None, url: str, attr: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        await registered(desk, name, url)

    assert refusal.value.attr == attr
    assert "secret" not in refusal.value.message


@pytest.mark.parametrize("url", ["/srv/../etc", "file:///srv/%2e%2e/etc", "file://elsewhere/srv/repo", "/", "/srv/a\x00b"])
async def test_what_is_no_plain_path_of_this_machine_is_refused(desk: Desk, url: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        await registered(desk.with_rules(allow_local_repositories=True), None, url)
    assert refusal.value.attr == "clone_url"


async def test_a_run_token_registers_nothing(desk: Desk) -> None:
    run = await desk.run()

    with pytest.raises(ForbiddenError):
        await repositories.register(desk.backends, desk.agent(run), desk.project, name="a/b", clone_url="https://git.test/a")
