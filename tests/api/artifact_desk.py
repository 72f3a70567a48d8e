"""Calls on the artifacts of one run, over HTTP."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from hedgerow.storage.local import LocalStore

if TYPE_CHECKING:
    from tests.api.conftest import Served

TEXT = {"name": "notes.txt", "type": "artifact", "content": "  kept as it is\n"}


@dataclass(frozen=True)
class Desk:
    """Calls on the artifacts of one run."""

    served: "Served"
    url: str

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.served.client.post(f"{self.url}{path}", json=body)

    async def inline(self, *items: dict[str, Any]) -> list[dict[str, Any]]:
        answer = await self.post("artifacts/", artifacts=list(items))
        assert answer.status_code == 200, answer.text
        return list(answer.json()["artifacts"])

    async def upload(self, content: bytes, base: str | None = None, **fields: Any) -> dict[str, Any]:
        """An upload by form, up to the form; what finalize is to be sent."""
        wanted = {"name": "photo.png", "type": "user_attachment", "size": max(len(content), 1), "content_type": "image/png"} | fields
        base = base or f"{self.url}artifacts/"
        answer = await self.served.client.post(f"{base}prepare_upload/", json={"artifacts": [wanted]})
        assert answer.status_code == 200, answer.text
        (prepared,) = answer.json()["artifacts"]
        form = prepared["presigned_post"]
        sent = await self.served.client.post(
            form["url"], data=form["fields"], files={"file": ("x", content)}, headers={"Authorization": ""}
        )
        assert sent.status_code == 204, sent.text
        return {name: prepared[name] for name in ("id", "name", "type", "source", "storage_path", "content_type")}

    async def manifest(self) -> list[dict[str, Any]]:
        return list((await self.served.client.get(self.url)).json()["artifacts"])

    async def content(self, storage_path: str) -> httpx.Response:
        return await self.post("artifacts/download/", storage_path=storage_path)


def files_of(desk: Desk) -> list[str]:
    """Every file that the local store holds of this project."""
    storage = desk.served.backends.storage
    assert isinstance(storage, LocalStore)
    folder = storage.folder
    own = [path for path in folder.rglob("*") if path.is_file() and f"team_{desk.served.project.id}/" in str(path)]
    return [str(path) for path in (*own, *(folder / ".uploads").iterdir())]


async def staged(desk: Desk, content: bytes = b"staged", **fields: Any) -> dict[str, Any]:
    """An artifact that waits for a run; its entry."""
    base = f"{desk.url.partition('runs/')[0]}staged_artifacts/"
    sent = await desk.upload(content, base, **fields)
    answer = await desk.served.client.post(f"{base}finalize_upload/", json={"artifacts": [sent]})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["artifacts"][0])
