from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.domain.errors import InvalidError
from hedgerow.repositories.urls import Transport, mask, parse_clone_url


@pytest.mark.parametrize(
    ("text", "clean", "transport"),
    [
        ("https://github.com/team/app", "https://github.com/team/app", Transport.HTTP),
        ("HTTPS://GitHub.com:443/team/App.git/", "https://github.com/team/App.git", Transport.HTTP),
        ("http://[::1]:8080/app", "http://[::1]:8080/app", Transport.HTTP),
        ("https://ada:s3cret@example.com/app", "https://example.com/app", Transport.HTTP),
        ("https://ghp_token@example.com/app", "https://example.com/app", Transport.HTTP),
        ("ssh://git@Example.com:2222/team/app", "ssh://git@example.com:2222/team/app", Transport.SSH),
        ("git@github.com:team/app.git", "git@github.com:team/app.git", Transport.SSH),
        ("example.com:app", "example.com:app", Transport.SSH),
        ("git://example.com/app", "git://example.com/app", Transport.GIT),
        ("/srv/git//app/", "/srv/git/app", Transport.LOCAL),
        ("file:///srv/my%20app", "/srv/my app", Transport.LOCAL),
        ("file://localhost/srv/app", "/srv/app", Transport.LOCAL),
    ],
)
def test_a_clone_url_is_normalised(text: str, clean: str, transport: Transport) -> None:
    url = parse_clone_url(text, allow_local=True)
    assert (url.clean, url.transport) == (clean, transport)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-oProxyCommand=id",
        "--upload-pack=id",
        "ext::sh -c id",
        "fd::17",
        "foo::https://example.com/x",
        "ftp://example.com/app",
        "ssh://-oProxyCommand=id/app",
        "ssh://git:password@example.com/app",
        "ssh://-x@example.com/app",
        "-x@example.com:app",
        "git@-host:app",
        "git@host:-app",
        "https://example.com",
        "https:///app",
        "https://example.com:port/app",
        "https://exa mple.com/app",
        "https://example.com/app?x=1",
        "https://example.com/app\n",
        "https://exa\x00mple.com/app",
        "https://a%0ab:c@example.com/app",
        "file://elsewhere/srv/app",
        "file://",
        "/srv/../etc",
        "relative/path",
        "./relative",
        "~/app",
        "app",
        "/",
    ],
)
def test_a_dangerous_or_meaningless_url_is_refused(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_clone_url(text, allow_local=True)
    assert caught.value.attr == "clone_url"
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize("text", ["/srv/app", "file:///srv/app"])
def test_a_local_path_needs_permission(text: str) -> None:
    with pytest.raises(InvalidError, match="HEDGEROW_ALLOW_LOCAL_REPOSITORIES"):
        parse_clone_url(text, allow_local=False)


def test_user_and_password_are_kept_apart_and_decoded() -> None:
    url = parse_clone_url("https://ada%40home:p%2Fw@example.com/app", allow_local=False)
    assert (url.username, url.password) == ("ada@home", "p/w")
    assert "p/w" not in repr(url)
    assert "ada@home" not in repr(url)


def test_the_path_of_a_local_repository_is_a_folder_of_this_machine() -> None:
    assert parse_clone_url("file:///srv/app", allow_local=True).path == Path("/srv/app")


_names = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)
_secrets = st.text(st.characters(categories=["L", "N"], max_codepoint=0x2FF) | st.sampled_from("!$&'()+,;=._~-"), min_size=8, max_size=30)


@given(
    scheme=st.sampled_from(["http", "https"]), host=_names, path=st.lists(_names, min_size=1, max_size=3), user=_secrets, password=_secrets
)
def test_no_secret_survives_normalisation_or_masking(scheme: str, host: str, path: list[str], user: str, password: str) -> None:
    text = f"{scheme}://{user}:{password}@{host}/{'/'.join(path)}"
    url = parse_clone_url(text, allow_local=False)
    assert url.clean == f"{scheme}://{host}/{'/'.join(path)}"
    told = mask(f"fatal: unable to access '{text}': 403 for {user} with {password}", url.secrets)
    assert password not in told
    assert user not in told


@given(st.text(max_size=60) | st.from_regex(r"(https|ssh|file|git)://[ -~]{0,40}", fullmatch=True))
def test_any_text_is_normalised_once_and_for_all_or_refused(text: str) -> None:
    try:
        url = parse_clone_url(text, allow_local=True)
    except InvalidError:
        return
    assert not url.clean.startswith("-")
    again = parse_clone_url(url.clean, allow_local=True)
    assert (again.clean, again.transport) == (url.clean, url.transport)


def test_a_password_is_masked_in_any_url_even_when_it_is_not_known() -> None:
    assert mask("see https://a:b@h/x and ssh://c:d@h/y, https://token@h/z") == "see https://***@h/x and ssh://***@h/y, https://***@h/z"
