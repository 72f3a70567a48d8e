"""Secrets are found however they are written down."""

import json

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.domain.masking import MASK, Mask


def test_short_values_are_left_alone() -> None:
    assert Mask(["1234567"]).text("1234567 stays") == "1234567 stays"


@given(secret=st.text(min_size=8), before=st.text(), after=st.text(), ascii_only=st.booleans())
def test_a_secret_inside_json_is_masked(secret: str, before: str, after: str, ascii_only: bool) -> None:
    line = json.dumps({"text": before + secret + after}, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    masked = Mask([secret]).data(line)
    assert json.dumps(secret, ensure_ascii=ascii_only)[1:-1].encode(errors="surrogatepass") not in masked.replace(MASK.encode(), b"")


def test_what_may_be_the_beginning_of_a_secret_is_held_back() -> None:
    mask = Mask(["sk-0123456789", "token-abcdef"])
    assert mask.unfinished("the key is sk-0123") == len("sk-0123")
    assert mask.unfinished("it is a tok") == 3
    assert mask.unfinished("it is sk-0123456789") == 0
    assert mask.unfinished("") == 0


def test_known_secrets_are_masked_however_they_are_escaped() -> None:
    secret = 'p4ss/w"örd'
    forms = [json.dumps(secret), json.dumps(secret, ensure_ascii=False), json.dumps(secret).replace("/", "\\/")]
    for form in forms:
        assert Mask([secret, "short"]).text(f'{{"a":{form}}}') == f'{{"a":"{MASK}"}}'
