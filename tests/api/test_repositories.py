"""Registered repositories over HTTP (contract 13.4)."""

from typing import Any

import pytest

from tests.api.conftest import Served
from tests.api.test_authentication import error


async def test_a_repository_is_registered_under_its_name(served: Served) -> None:
    url = f"/api/projects/{served.project.id}/repositories/"
    body = {"name": "Acme/Garden", "clone_url": "https://git.example.com/acme/garden.git", "setup_command": "make"}
    response = await served.client.post(url, json=body)
    assert response.status_code == 201
    assert list(response.json()) == ["name", "clone_url", "setup_command", "created_at"]
    assert (response.json()["name"], response.json()["setup_command"]) == ("acme/garden", "make")
    await served.client.post(url, json={"name": "acme/garden", "clone_url": "ssh://git@other.example.com/garden.git"})
    listed = (await served.client.get(url)).json()
    assert [(found["name"], found["clone_url"]) for found in listed["results"]] == [
        ("acme/garden", "ssh://git@other.example.com/garden.git")
    ]


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({}, "required", "clone_url"),
        ({"clone_url": None}, "null", "clone_url"),
        ({"clone_url": " "}, "blank", "clone_url"),
        ({"clone_url": "https://x/y.git", "name": "nonsense"}, "invalid_input", "name"),
        ({"clone_url": "https://x/y.git", "name": 5}, "invalid_input", "name"),
        ({"clone_url": "file:///etc", "name": "a/b"}, "invalid_input", "clone_url"),
        ({"clone_url": "/srv/repository"}, "invalid_input", "clone_url"),
        ({"clone_url": "ext::sh -c true", "name": "a/b"}, "invalid_input", "clone_url"),
        ({"clone_url": "--upload-pack=true", "name": "a/b"}, "invalid_input", "clone_url"),
    ],
)
async def test_a_bad_repository_is_named(served: Served, body: dict[str, Any], code: str, attr: str) -> None:
    response = await served.client.post(f"/api/projects/{served.project.id}/repositories/", json=body)
    assert error(response) == (400, "validation_error", code, attr)
