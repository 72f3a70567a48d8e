"""The part of the fake server that keeps artifacts, and the store that its forms lead to."""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

Answer = tuple[int, Any]


@dataclass
class FakeStore:
    """Objects by their storage paths, manifests by the path of their run, and how each form came."""

    objects: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    forms: list[tuple[list[str], Mapping[str, str]]] = field(default_factory=list)  # names of the fields, headers of the call
    refusal: str | None = None  # what the store says to the next form
    keeps: bool = True  # else forms are read and thrown away

    def take_form(self, headers: Mapping[str, str], raw: bytes) -> Answer:
        """Keep what a form brings."""
        boundary = re.search(r"boundary=(\S+)", headers["Content-Type"])
        assert boundary is not None
        parts = [part.partition(b"\r\n\r\n") for part in raw.split(b"--" + boundary[1].encode())[1:-1]]
        fields = {re.search(rb'name="([^"]*)"', head)[1].decode(): content[:-2] for head, _, content in parts}  # type: ignore[index]
        self.forms.append((list(fields), dict(headers)))
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            return 403, refusal
        self.objects[fields["key"].decode()] = fields["file"]
        return 204, ""

    def answer(self, owner: str, action: list[str], body: Any, url: str) -> Answer | bytes:
        """What the endpoints of artifacts answer; bytes are an artifact's content."""
        match action:
            case []:
                return 200, {"artifacts": self._add(owner, [self._inline(owner, item) for item in body["artifacts"]])}
            case ["prepare_upload"]:
                return 200, {"artifacts": [self._form(owner, item, url) for item in body["artifacts"]]}
            case ["finalize_upload"]:
                missing = [item for item in body["artifacts"] if item["storage_path"] not in self.objects]
                if missing:
                    return 400, {"error": "The object is not there."}
                entries = [self._entry(item) for item in body["artifacts"]]
                self._add(owner, entries)
                return 200, {"artifacts": entries}
            case ["presign"]:
                return 200, {"url": f"{url}/signed", "expires_in": 3600}
        content = self.objects.get(body["storage_path"])
        return (404, {"error": "There is no such artifact."}) if content is None else content

    def _add(self, owner: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.manifests.setdefault(owner, []).extend(entries)
        return self.manifests[owner]

    def _inline(self, owner: str, item: dict[str, Any]) -> dict[str, Any]:
        path = f"{owner}/{uuid4().hex}"
        self.objects[path] = b64decode(item["content"], validate=True)
        return self._entry({**item, "id": uuid4().hex, "storage_path": path})

    def _form(self, owner: str, item: dict[str, Any], url: str) -> dict[str, Any]:
        path = f"{owner}/{uuid4().hex}"
        form = {"url": f"{url}/store", "fields": {"key": path, "policy": "p", "x-amz-signature": "s"}}
        return {"source": "", **item, "id": uuid4().hex, "storage_path": path, "expires_in": 3600, "presigned_post": form}

    def _entry(self, item: dict[str, Any]) -> dict[str, Any]:
        kept = {name: item[name] for name in ("id", "name", "type", "content_type", "storage_path")}
        stamp = "2026-11-22T10:00:00+00:00"
        return {**kept, "source": item.get("source", ""), "size": len(self.objects[item["storage_path"]]), "uploaded_at": stamp}
