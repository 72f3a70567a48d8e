"""What makes a turn pointless."""

from hedgerow.agent_server.giving_up import GiveUp, contains, hopeless

RULE = GiveUp({"method": "_agent/retry", "params": {"message": {"status": 401}}}, "The key was refused.")


def test_a_message_that_has_everything_the_pattern_has_fulfils_it() -> None:
    message = {"jsonrpc": "2.0", "method": "_agent/retry", "params": {"message": {"status": 401, "attempt": 1}, "sessionId": "s"}}
    assert hopeless([RULE], message) == "The key was refused."


def test_another_value_or_a_missing_member_does_not() -> None:
    assert hopeless([RULE], {"method": "_agent/retry", "params": {"message": {"status": 529}}}) is None
    assert hopeless([RULE], {"method": "_agent/retry", "params": []}) is None
    assert hopeless([RULE], {"id": 1, "result": {}}) is None


def test_values_that_are_no_objects_are_compared_as_they_are() -> None:
    assert contains({"a": [1, 2]}, {"a": [1, 2]})
    assert not contains({"a": [1, 2, 3]}, {"a": [1, 2]})
    assert not contains({}, {"a": None})
