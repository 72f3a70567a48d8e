# Made from asynchronous/artifacts.py by scripts/blocking-client: change that file, not this one.
"""Artifacts: files of a run, and files staged for a run to come (contract 6)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from hedgerow.client import answers
from hedgerow.client.blocking.caller import Caller, lies_outside
from hedgerow.client.calls import Call, Repeat, post
from hedgerow.client.certificates import certificates
from hedgerow.client.errors import BrokenOffError, store_failure, upload_refusal
from hedgerow.client.files import INLINE_BYTES, Landing, Source, Target, Upload, opened
from hedgerow.client.places import RunPlace, TaskPlace, run_path, task_path

if TYPE_CHECKING:
    from hedgerow.client.answers.artifacts import Artifact, PreparedUpload, PresignedUrl
    from hedgerow.client.fields import ArtifactType

Items = Sequence[Mapping[str, Any]]


class ArtifactCalls(Caller):
    """What one can do with artifacts."""

    def upload_artifact(
        self,
        run: RunPlace,
        file: Source,
        *,
        type: ArtifactType = "artifact",  # noqa: A002 - the API's word
        name: str | None = None,
        content_type: str | None = None,
        source: str = "",
    ) -> Artifact:
        """Add a file to a run: a path, the content itself, or a file that is open for reading bytes.

        A small file goes in one call; a larger one, up to 30 MiB, by a form, and is never held whole in memory. `source` says where
        it comes from. Raises ClientError, and OSError where the file cannot be read.
        """
        with opened(file, name, content_type) as upload:
            if upload.size <= INLINE_BYTES:
                content = b64encode(upload.read()).decode()
                item = {**_item(upload, type, source), "content": content, "content_encoding": "base64"}
                return (self.upload_artifacts(run, [item]))[-1]
            (prepared,) = self.prepare_artifact_upload(run, [{**_item(upload, type, source), "size": upload.size}])
            self.send_form(prepared, upload)
            return (self.finalize_artifact_upload(run, [_final(prepared, upload)]))[0]

    def stage_artifact(
        self,
        task: TaskPlace | str,
        file: Source,
        *,
        type: ArtifactType = "user_attachment",  # noqa: A002 - the API's word
        name: str | None = None,
        content_type: str | None = None,
        source: str = "",
    ) -> Artifact:
        """Keep a file for the next run of a task: give its id to `run_task` as one of `pending_user_artifact_ids`, within a day.

        The file is taken as by `upload_artifact`.
        """
        with opened(file, name, content_type) as upload:
            (prepared,) = self.prepare_staged_artifact_upload(task, [{**_item(upload, type, source), "size": upload.size}])
            self.send_form(prepared, upload)
            return (self.finalize_staged_artifact_upload(task, [_final(prepared, upload)]))[0]

    def download_artifact(self, run: RunPlace, artifact: Artifact | str, *, to: Target) -> Path | None:
        """Write an artifact of a run, or of one that it resumes, to a path, into a folder, or to a file that is open for writing bytes.

        It is named by itself or by its storage path, and never held whole in memory. The path it was written to; None for an open
        file. Raises ClientError, and then the path is as it was; OSError where it cannot be written.
        """
        landing = Landing(to, artifact.name if isinstance(artifact, answers.artifacts.Artifact) else artifact)
        try:
            self._land(run, artifact, landing)
            landing.keep()
        except BaseException:
            landing.discard()
            raise
        return landing.path

    def read_artifact(self, run: RunPlace, artifact: Artifact | str) -> bytes:
        """The content of an artifact that is small enough to be held in memory."""
        return b"".join([piece for piece in self.stream_artifact(run, artifact)])

    def stream_artifact(self, run: RunPlace, artifact: Artifact | str) -> Generator[bytes, None, None]:
        """The content of an artifact, piece by piece. Raises BrokenOffError where it does not come to its end."""
        body = {"storage_path": _storage_path(artifact)}
        with self._open(post(f"{run_path(run)}artifacts/download/", body, repeat=Repeat.FREELY)) as response:
            for piece in response.iter_bytes():
                yield piece

    def upload_artifacts(self, run: RunPlace, artifacts: Items) -> list[Artifact]:
        """Add files to a run whose contents stand in the call (contract 6.3): the whole manifest, with the new ones last."""
        call = post(f"{run_path(run)}artifacts/", {"artifacts": list(artifacts)}, repeat=Repeat.UNDER_ITS_KEY)
        return self._ask(call, answers.artifacts.artifacts_from)

    def prepare_artifact_upload(self, run: RunPlace, artifacts: Items) -> list[PreparedUpload]:
        """Forms for files of a run (contract 6.4), in the same order."""
        return self._prepare(f"{run_path(run)}artifacts/prepare_upload/", artifacts)

    def finalize_artifact_upload(self, run: RunPlace, artifacts: Items) -> list[Artifact]:
        """Add files to a run that were sent by forms (contract 6.5), in the same order; all of them or none."""
        return self._finalize(f"{run_path(run)}artifacts/finalize_upload/", artifacts)

    def prepare_staged_artifact_upload(self, task: TaskPlace | str, artifacts: Items) -> list[PreparedUpload]:
        """Forms for files that the next run of a task shall get (contract 6.8), in the same order."""
        return self._prepare(f"{task_path(task)}staged_artifacts/prepare_upload/", artifacts)

    def finalize_staged_artifact_upload(self, task: TaskPlace | str, artifacts: Items) -> list[Artifact]:
        """Keep files for a day that were sent by forms, in the same order; all of them or none."""
        return self._finalize(f"{task_path(task)}staged_artifacts/finalize_upload/", artifacts)

    def presign_artifact(self, run: RunPlace, artifact: Artifact | str) -> PresignedUrl:
        """A URL that answers with an artifact of this very run, without a key."""
        body = {"storage_path": _storage_path(artifact)}
        return self._ask(post(f"{run_path(run)}artifacts/presign/", body, repeat=Repeat.FREELY), answers.artifacts.presigned_from)

    def send_form(self, prepared: PreparedUpload, upload: Upload) -> None:
        """Send a file by its form: its fields first, the file last, and no key of this client, since the store may be another server."""
        tries = 0
        call = Call(method="POST", path=prepared.url)  # the same file once more changes nothing
        outside = lies_outside(prepared.url)
        with httpx.Client(timeout=self._timeout, trust_env=outside, verify=certificates()) as http:
            while True:
                upload.content.seek(0)
                file = {"file": (upload.name, upload.content, upload.content_type)}
                try:
                    response = http.post(prepared.url, data=dict(prepared.fields), files=file)
                except httpx.TransportError as error:
                    delay = self._retries.after_failure(call, tries, error)
                    if delay is None:
                        raise store_failure(prepared.url, error) from error
                else:
                    if response.is_success:
                        return
                    delay = self._retries.after_refusal(call, tries, response)
                    if delay is None:
                        raise upload_refusal(response)
                tries += 1
                self._pause(delay)

    def _land(self, run: RunPlace, artifact: Artifact | str, landing: Landing) -> None:
        """Download until the artifact has come whole, from its beginning at each try."""
        tries = 0
        while True:
            try:
                for piece in self.stream_artifact(run, artifact):
                    landing.write(piece)
                return
            except BrokenOffError:
                if tries >= self._retries.most or not landing.restart():
                    raise
            self._pause(self._retries.pause(tries))
            tries += 1

    def _prepare(self, path: str, artifacts: Items) -> list[PreparedUpload]:
        return self._ask(post(path, {"artifacts": list(artifacts)}, repeat=Repeat.FREELY), answers.artifacts.prepared_from)

    def _finalize(self, path: str, artifacts: Items) -> list[Artifact]:
        return self._ask(post(path, {"artifacts": list(artifacts)}, repeat=Repeat.FREELY), answers.artifacts.artifacts_from)


def _item(upload: Upload, kind: str, source: str) -> dict[str, Any]:
    item = {"name": upload.name, "type": kind, "content_type": upload.content_type}
    return {**item, "source": source} if source else item


def _final(prepared: PreparedUpload, upload: Upload) -> dict[str, Any]:
    return {**_item(upload, prepared.type, prepared.source), "id": prepared.id, "storage_path": prepared.storage_path}


def _storage_path(artifact: Artifact | str) -> str:
    return artifact if isinstance(artifact, str) else artifact.storage_path
