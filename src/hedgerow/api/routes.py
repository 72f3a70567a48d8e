"""Every endpoint of the API: its table of contents."""

from typing import Any

from hedgerow.api import (
    accounts,
    artifacts,
    commands,
    connection_tokens,
    health,
    logs,
    objects,
    repositories,
    runs,
    stream,
    task_overviews,
    tasks,
)
from hedgerow.api.bodies import ARTIFACT_BODY_BYTES, LOG_BODY_BYTES
from hedgerow.api.endpoints import Endpoint
from hedgerow.api.schemas.artifacts import Manifest, PreparedArtifacts, SignedAddress
from hedgerow.api.schemas.commands import CommandAnswer
from hedgerow.api.schemas.logs import LogAppend, SessionLogQuery
from hedgerow.api.schemas.repositories import Repository, RepositoryPage
from hedgerow.api.schemas.runs import TaskRunDetail, TaskRunPage
from hedgerow.api.schemas.task_overviews import TaskRepositories, TaskSummaryPage
from hedgerow.api.schemas.tasks import Task, TaskPage
from hedgerow.api.schemas.users import CurrentUser, NewPersonalKey, ProjectDetail
from hedgerow.domain.access import Scope
from hedgerow.operations import log_urls
from hedgerow.operations.objects import PATH as OBJECTS

READ, WRITE = Scope.TASK_READ, Scope.TASK_WRITE

PROJECT = "/api/projects/{project_id}/"
TASKS = PROJECT + "tasks/"
TASK = TASKS + "{task_id}/"
RUNS = TASK + "runs/"
RUN = RUNS + "{run_id}/"


def _parameter(name: str, place: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": False, "description": description, "schema": schema}


def _query_of(model: type[SessionLogQuery]) -> tuple[dict[str, Any], ...]:
    properties = model.model_json_schema()["properties"]
    return tuple(_parameter(name, "query", schema.pop("description", ""), schema) for name, schema in properties.items())


_PAGING = (
    _parameter("limit", "query", "How many at most: 100, unless given, and at most 1000.", {"type": "integer"}),
    _parameter("offset", "query", "How many to leave out at the beginning.", {"type": "integer"}),
)
_CURSOR = (
    _parameter("Last-Event-ID", "header", "Only events after this one.", {"type": "string"}),
    _parameter("start", "query", "`latest`: only what comes from now on.", {"type": "string", "enum": ["latest"]}),
)
_PAGE_HEADERS = {
    "X-Total-Count": "How many entries the log has.",
    "X-Filtered-Count": "How many entries pass the filters.",
    "X-Matching-Count": "The same as X-Filtered-Count.",
    "X-Has-More": "`true` where entries follow after this page.",
}

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(method="GET", path=TASKS, handler=tasks.list_tasks, scope=READ, answers=TaskPage, parameters=_PAGING),
    Endpoint(method="POST", path=TASKS, handler=tasks.create_task, scope=WRITE, status=201, answers=Task, idempotent=True),
    # Before the paths of one task, which would take these words for an id.
    Endpoint(method="GET", path=TASKS + "repositories/", handler=task_overviews.task_repositories, scope=READ, answers=TaskRepositories),
    Endpoint(
        method="POST",
        path=TASKS + "summaries/",
        handler=task_overviews.summarize_tasks,
        scope=READ,
        answers=TaskSummaryPage,
        parameters=_PAGING,
    ),
    Endpoint(method="GET", path=TASK, handler=tasks.retrieve_task, scope=READ, answers=Task),
    Endpoint(method="PATCH", path=TASK, handler=tasks.update_task, scope=WRITE, answers=Task),
    Endpoint(method="PUT", path=TASK, handler=tasks.update_task, name="replace_task", scope=WRITE, answers=Task),
    Endpoint(method="DELETE", path=TASK, handler=tasks.delete_task, scope=WRITE, status=204),
    Endpoint(method="POST", path=TASK + "run/", handler=tasks.run_task, scope=WRITE, answers=Task, idempotent=True),
    Endpoint(method="GET", path=RUNS, handler=runs.list_runs, scope=READ, answers=TaskRunPage, parameters=_PAGING),
    Endpoint(method="POST", path=RUNS, handler=runs.create_run, scope=WRITE, status=201, answers=TaskRunDetail, idempotent=True),
    Endpoint(method="GET", path=RUN, handler=runs.retrieve_run, scope=READ, answers=TaskRunDetail),
    Endpoint(method="PATCH", path=RUN, handler=runs.update_run, scope=WRITE, answers=TaskRunDetail),
    Endpoint(method="POST", path=RUN + "start/", handler=tasks.start_run, scope=WRITE, answers=Task, idempotent=True),
    Endpoint(method="POST", path=RUN + "resume_in_cloud/", handler=runs.resume_in_cloud, scope=WRITE, answers=TaskRunDetail),
    Endpoint(method="PATCH", path=RUN + "set_output/", handler=runs.set_output, scope=WRITE, answers=TaskRunDetail),
    Endpoint(
        method="POST",
        path=RUN + "append_log/",
        handler=logs.append_log,
        scope=WRITE,
        answers=TaskRunDetail,
        takes=LogAppend,
        plain=True,
        idempotent=True,
        limit_bytes=LOG_BODY_BYTES,
    ),
    Endpoint(method="GET", path=RUN + "logs/", handler=logs.read_logs, scope=READ, plain=True, media_type=logs.JSON_LINES),
    Endpoint(
        method="GET",
        path=RUN + "session_logs/",
        handler=logs.session_logs,
        scope=READ,
        plain=True,
        lists=True,
        parameters=_query_of(SessionLogQuery),
        headers=_PAGE_HEADERS,
    ),
    Endpoint(
        method="GET",
        path=RUN + "stream/",
        handler=stream.stream,
        scope=READ,
        plain=True,
        media_type="text/event-stream",
        parameters=_CURSOR,
        errors=(406,),
    ),
    Endpoint(
        method="POST",
        path=RUN + "artifacts/",
        handler=artifacts.upload_artifacts,
        scope=WRITE,
        answers=Manifest,
        idempotent=True,
        limit_bytes=ARTIFACT_BODY_BYTES,
        few_at_once=True,
    ),
    Endpoint(
        method="POST",
        path=RUN + "artifacts/prepare_upload/",
        handler=artifacts.prepare_artifact_upload,
        scope=WRITE,
        answers=PreparedArtifacts,
    ),
    Endpoint(
        method="POST", path=RUN + "artifacts/finalize_upload/", handler=artifacts.finalize_artifact_upload, scope=WRITE, answers=Manifest
    ),
    Endpoint(method="POST", path=RUN + "artifacts/presign/", handler=artifacts.presign_artifact, scope=READ, answers=SignedAddress),
    Endpoint(
        method="POST",
        path=RUN + "artifacts/download/",
        handler=artifacts.download_artifact,
        scope=READ,
        media_type=artifacts.ANY_BYTES,
    ),
    Endpoint(
        method="POST",
        path=TASK + "staged_artifacts/prepare_upload/",
        handler=artifacts.prepare_staged_artifact_upload,
        scope=WRITE,
        answers=PreparedArtifacts,
    ),
    Endpoint(
        method="POST",
        path=TASK + "staged_artifacts/finalize_upload/",
        handler=artifacts.finalize_staged_artifact_upload,
        scope=WRITE,
        answers=Manifest,
    ),
    Endpoint(
        method="POST",
        path=RUN + "command/",
        handler=commands.send_command,
        scope=WRITE,
        answers=CommandAnswer,
        idempotent=True,
        errors=(502, 504),
    ),
    Endpoint(
        method="GET",
        path=RUN + "connection_token/",
        handler=connection_tokens.connection_token,
        scope=WRITE,
        answers=connection_tokens.ConnectionToken,
    ),
    Endpoint(method="GET", path=PROJECT, handler=accounts.retrieve_project, scope=READ, answers=ProjectDetail),
    Endpoint(
        method="GET",
        path=PROJECT + "repositories/",
        handler=repositories.list_repositories,
        scope=READ,
        answers=RepositoryPage,
        parameters=_PAGING,
    ),
    Endpoint(
        method="POST",
        path=PROJECT + "repositories/",
        handler=repositories.register_repository,
        scope=WRITE,
        status=201,
        answers=Repository,
    ),
    Endpoint(
        method="POST",
        path="/api/personal_api_keys/",
        handler=accounts.create_personal_key,
        scope=Scope.ALL,
        status=201,
        answers=NewPersonalKey,
    ),
    Endpoint(method="GET", path="/api/users/@me/", handler=accounts.retrieve_current_user, answers=CurrentUser),
    Endpoint(
        method="GET",
        path="/api/connection_public_key/",
        handler=connection_tokens.public_key,
        answers=connection_tokens.PublicKey,
        open=True,
    ),
    Endpoint(
        method="GET",
        path=log_urls.PATH,
        handler=logs.read_signed_log,
        open=True,
        media_type=logs.JSON_LINES,
        parameters=(
            _parameter("expires", "query", "Part of the signed address.", {"type": "string"}),
            _parameter("signature", "query", "Part of the signed address.", {"type": "string"}),
        ),
        errors=(403,),
    ),
    Endpoint(method="POST", path=OBJECTS, handler=objects.receive_object, open=True, status=204, errors=(400, 403, 415)),
    Endpoint(
        method="GET",
        path=OBJECTS,
        handler=objects.send_object,
        open=True,
        media_type=artifacts.ANY_BYTES,
        parameters=tuple(
            _parameter(name, "query", "Part of the signed address.", {"type": "string"}) for name in ("key", "expires", "signature")
        ),
        errors=(403,),
    ),
    Endpoint(method="GET", path="/health/", handler=health.health, answers=health.Health, open=True),
)
