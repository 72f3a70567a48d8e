"""What end reasons mean to people."""

import pytest

from hedgerow.domain.end_reasons import EXPLANATIONS, LONGEST_WORDS, EndCategory, given_by_agent, plain_words
from hedgerow.domain.runs import EndReason


@pytest.mark.parametrize("reason", EndReason)
def test_reasons_have_a_category_and_a_title_and_whatever_went_wrong_has_a_remedy(reason: EndReason) -> None:
    explanation = EXPLANATIONS[reason]
    assert explanation.title.endswith(".")
    assert bool(explanation.remedy) == (explanation.category is not EndCategory.DONE)
    assert not explanation.remedy or explanation.remedy.endswith(".")


def test_what_is_done_is_not_worth_another_try() -> None:
    done = [each for each in EXPLANATIONS.values() if each.category is EndCategory.DONE]
    assert done
    assert not any(each.retryable for each in done)


def test_an_agent_gives_only_reasons_that_are_its_own() -> None:
    assert given_by_agent("agent_lost") is EndReason.AGENT_LOST
    assert {given_by_agent(given) for given in ("finished", "client", "nonsense", "", None, 7, ["agent_lost"])} == {EndReason.AGENT_FAILED}


def test_words_of_an_agent_are_plain_and_those_that_are_too_long_lose_their_end() -> None:
    assert plain_words(" A word.\x00\ud800\n") == "A word.\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    assert plain_words("a" * LONGEST_WORDS) == "a" * LONGEST_WORDS
    cut = plain_words("a" * 10_000_000)
    assert (len(cut), cut[:3], cut[-2:]) == (LONGEST_WORDS, "aaa", " …")
