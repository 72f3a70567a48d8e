"""The client has every operation of the API."""

import json
from pathlib import Path

from hedgerow.client import Client

DOCUMENT = Path(__file__).resolve().parents[2] / "openapi.json"

# Operations that no method is named after, and why.
EXCEPTIONS = {
    "read_signed_log": "Run.log_url leads there",
    "receive_object": "forms lead there: upload_artifact and stage_artifact",
    "send_object": "presign_artifact leads there",
}


def test_every_operation_has_a_method_of_its_name() -> None:
    paths = json.loads(DOCUMENT.read_text())["paths"]
    operations = {operation["operationId"] for path in paths.values() for operation in path.values() if "operationId" in operation}
    assert len(operations) >= 25
    assert not {name for name in operations if not callable(getattr(Client, name, None))} - set(EXCEPTIONS)
