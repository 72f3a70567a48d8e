"""What the end reasons mean, for everybody who asks."""

from hedgerow.domain.end_reasons import EndCategory
from hedgerow.domain.runs import EndReason
from tests.api.conftest import Served


async def test_every_end_reason_is_told_without_a_key(served: Served) -> None:
    answer = await served.client.get("/api/end_reasons/", headers={"Authorization": ""})
    assert answer.status_code == 200
    told = answer.json()["results"]
    assert [each["reason"] for each in told] == [reason.value for reason in EndReason]
    for each in told:
        assert set(each) == {"reason", "category", "title", "remedy", "retryable"}
        assert EndCategory(each["category"])
        assert each["title"].endswith(".")
        assert each["retryable"] in {True, False}
