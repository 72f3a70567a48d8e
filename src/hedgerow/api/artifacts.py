"""Artifacts over HTTP: inline, by form, staged, and read again (contract 6)."""

from urllib.parse import quote

from starlette.responses import Response

from hedgerow.api.calls import Call, CurrentCall
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.keeping import once
from hedgerow.api.outflow import pieces_response
from hedgerow.api.schemas.artifacts import ArtifactFinalize, ArtifactPlace, ArtifactPrepare, ArtifactUpload, prepared_detail
from hedgerow.operations import artifacts, uploads

ANY_BYTES = "application/octet-stream"


async def upload_artifacts(call: CurrentCall, body: ArtifactUpload) -> Response:
    """Store artifacts that come with the request. The answer is the whole manifest, the new entries last."""
    stored = await artifacts.store_artifacts(call.backends, call.caller, call.project, call.task_id, call.run_id, body.items())

    async def add(call: Call) -> Response:
        manifest = await artifacts.add_artifacts(call.backends, call.caller, call.project, call.task_id, call.run_id, stored)
        return JsonResponse({"artifacts": manifest})

    return await once(call, add)


async def prepare_artifact_upload(call: CurrentCall, body: ArtifactPrepare) -> Response:
    """Get a form for each artifact, to send its file with."""
    prepared = await uploads.prepare_upload(call.backends, call.caller, call.project, call.task_id, call.run_id, body.items())
    return JsonResponse({"artifacts": [prepared_detail(upload) for upload in prepared]})


async def finalize_artifact_upload(call: CurrentCall, body: ArtifactFinalize) -> Response:
    """Put uploads into the manifest, all or none. The answer holds the entries of this request only."""
    entries = await uploads.finalize_upload(call.backends, call.caller, call.project, call.task_id, call.run_id, body.items())
    return JsonResponse({"artifacts": [artifact.entry() for artifact in entries]})


async def presign_artifact(call: CurrentCall, body: ArtifactPlace) -> Response:
    """Get an address of an artifact that is answered without a key."""
    url = await artifacts.presign(call.backends, call.caller, call.project, call.task_id, call.run_id, body.storage_path)
    return JsonResponse({"url": url, "expires_in": call.backends.rules.artifacts.url_seconds})


async def download_artifact(call: CurrentCall, body: ArtifactPlace) -> Response:
    """The bytes of an artifact of this run, or of the runs that it resumes from."""
    found = await artifacts.download(call.backends, call.caller, call.project, call.task_id, call.run_id, body.storage_path)
    headers = file_headers(found.artifact.name, found.size)
    stall_seconds, media_type = call.backends.rules.reader_stall_seconds, found.artifact.content_type or ANY_BYTES
    return await pieces_response(found.pieces, media_type=media_type, stall_seconds=stall_seconds, headers=headers)


async def prepare_staged_artifact_upload(call: CurrentCall, body: ArtifactPrepare) -> Response:
    """Get forms for artifacts of a run of this task that is yet to be made."""
    prepared = await uploads.prepare_staged_upload(call.backends, call.caller, call.project, call.task_id, body.items())
    return JsonResponse({"artifacts": [prepared_detail(upload) for upload in prepared]})


async def finalize_staged_artifact_upload(call: CurrentCall, body: ArtifactFinalize) -> Response:
    """Keep uploads for a run of this task, which takes them over by their ids, for a day."""
    entries = await uploads.finalize_staged_upload(call.backends, call.caller, call.project, call.task_id, body.items())
    return JsonResponse({"artifacts": [artifact.entry() for artifact in entries]})


def file_headers(name: str, size: int) -> dict[str, str]:
    """The headers of a file that is to be kept, and never to be shown as a page of ours."""
    plain = "".join(letter if letter.isascii() and letter.isprintable() and letter not in '"\\' else "_" for letter in name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return {
        "Content-Length": str(size),
        "Content-Disposition": f'attachment; filename="{plain}"{exact}',
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }
