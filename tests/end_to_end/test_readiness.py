"""Readiness through every floor: the API asks, the worker clones and scans."""

from pathlib import Path

from tests.end_to_end.conftest import git
from tests.end_to_end.house import House


def test_the_readiness_of_a_repository_is_what_its_code_says(house: House, repository: Path) -> None:
    (repository / "package.json").write_text("{}")
    (repository / "app.tsx").write_text("posthog.init('key')\nposthog.capture('signed up')\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Analytics")
    name = house.register(repository)

    with house.client() as http:
        http.patch("", json={"proactive_tasks_enabled": True}).raise_for_status()
        for _ in range(10):  # each waits for the scan, but not for ever
            first = http.get("tasks/repository_readiness/", params={"repository": name}).raise_for_status().json()
            if "scan" in first:
                break
        again = http.get("tasks/repository_readiness/", params={"repository": name}).raise_for_status().json()

    assert first["scan"] == {
        "filesScanned": 1,
        "detectedFilesCount": 1,
        "eventNameCount": 1,
        "foundPosthogInit": True,
        "foundPosthogCapture": True,
        "foundErrorSignal": False,
    }
    assert (first["classification"], first["overall"]) == ("frontend_js", "partial")
    states = [first[capability]["state"] for capability in ("coreSuggestions", "replayInsights", "errorInsights")]
    assert states == ["waiting_for_data", "detected", "detected"]
    assert again | {"cacheAgeSeconds": 0} == first
