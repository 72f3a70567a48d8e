import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.domain.errors import InvalidError, UnavailableError
from hedgerow.repositories.failures import failure, summary
from hedgerow.repositories.urls import parse_clone_url

URL = parse_clone_url("https://ada:s3cret-word@example.com/app", allow_local=False)


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [
        ("fatal: could not read Username for 'https://github.com': terminal prompts disabled", "was not found, or the git credentials"),
        ("remote: Repository not found.\nfatal: repository 'https://example.com/app/' not found", "was not found, or the git credentials"),
        ("fatal: unable to access 'x': The requested URL returned error: 403", "was not found, or the git credentials"),
        ("git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.", "was not found, or the git"),
        ("fatal: unable to access 'x': Could not resolve host: example.com", "could not be found"),
        ("ssh: Could not resolve hostname example.com: Name or service not known", "could not be found"),
        ("fatal: unable to access 'x': Failed to connect to example.com port 443", "could not be reached"),
        ("Host key verification failed.\nfatal: Could not read from remote repository.", "host key"),
        ("fatal: write error: No space left on device\nfatal: early EOF", "The disk is full"),
        ("error: RPC failed; curl 92\nfatal: early EOF", "broke off"),
        ("fatal: detected dubious ownership in repository at '/x'", "belongs to another account"),
        ("fatal: unable to access 'x': SSL certificate problem: self-signed certificate", "TLS certificate"),
    ],
)
def test_words_of_git_become_one_sentence(errors: str, sentence: str) -> None:
    error = failure(URL, errors)
    assert isinstance(error, UnavailableError)
    assert sentence in error.message
    assert error.message.endswith(".")


@pytest.mark.parametrize(
    ("errors", "passing"),
    [
        ("fatal: unable to access 'x': Could not resolve host: example.com", True),
        ("fatal: unable to access 'x': Failed to connect to example.com port 443", True),
        ("fatal: unable to access 'x': Operation too slow", True),
        ("fatal: unable to access 'x': The requested URL returned error: 503", True),
        ("error: RPC failed; curl 92\nfatal: early EOF", True),
        ("remote: Repository not found.", False),
        ("fatal: Authentication failed for 'x'", False),
        ("fatal: couldn't find remote ref refs/x/y", False),
        ("fatal: write error: No space left on device\nfatal: early EOF", False),
        ("fatal: the flux is out", False),
    ],
)
def test_what_may_pass_is_told_from_what_will_not(errors: str, passing: bool) -> None:
    assert failure(URL, errors).passing is passing


def test_a_ref_that_is_missing_is_the_callers_mistake() -> None:
    error = failure(URL, "fatal: couldn't find remote ref refs/x/y")
    assert isinstance(error, InvalidError)
    assert error.message == "There is no refs/x/y in https://example.com/app."


def test_words_that_are_not_known_are_told_without_prefixes() -> None:
    errors = "warning: x\nremote: hello\nfatal: the \x1b[31mflux\x1b[0m is out\n"
    assert failure(URL, errors).message == "git could not read https://example.com/app: the flux is out"
    assert summary("") == "it gave no reason."


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_secret_is_ever_told_and_every_sentence_is_one_line(before: str, after: str) -> None:
    message = failure(URL, f"fatal: {before}s3cret-word{after}").message
    assert "s3cret-word" not in message
    assert len(message.splitlines()) == 1
