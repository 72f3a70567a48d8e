"""Every endpoint of the API: its table of contents."""

import json
from typing import Any

from hedgerow.api import (
    accounts,
    artifacts,
    audit,
    commands,
    connection_tokens,
    end_reasons,
    github,
    health,
    logs,
    messages,
    objects,
    permission_requests,
    readiness,
    repositories,
    runs,
    sandbox_environments,
    slack,
    stream,
    task_overviews,
    tasks,
)
from hedgerow.api.bodies import ARTIFACT_BODY_BYTES, LOG_BODY_BYTES
from hedgerow.api.endpoints import Endpoint
from hedgerow.api.schemas.artifacts import Manifest, PreparedArtifacts, SignedAddress
from hedgerow.api.schemas.audit import AuditPage
from hedgerow.api.schemas.commands import CommandAnswer
from hedgerow.api.schemas.github import (
    FeatureFlags,
    GitHubLogin,
    InstallAddress,
    IntegrationPage,
    PersonalIntegrations,
    PickedBranches,
    PickedRepositories,
)
from hedgerow.api.schemas.logs import LogAppend, SessionLogQuery
from hedgerow.api.schemas.messages import Message, MessagePage
from hedgerow.api.schemas.permission_requests import PermissionRequestPage
from hedgerow.api.schemas.readiness import ReportedInsightCount, RepositoryReadiness
from hedgerow.api.schemas.repositories import Repository, RepositoryPage
from hedgerow.api.schemas.runs import TaskRunDetail, TaskRunPage
from hedgerow.api.schemas.sandbox_environments import SandboxEnvironment, SandboxEnvironmentPage
from hedgerow.api.schemas.slack import RelayAnswer, SlackThread
from hedgerow.api.schemas.task_overviews import TaskRepositories, TaskSummaryPage
from hedgerow.api.schemas.tasks import Task, TaskPage
from hedgerow.api.schemas.users import CurrentUser, NewPersonalKey, PersonalKey, PersonalKeyPage, ProjectDetail
from hedgerow.domain.access import Scope
from hedgerow.operations import log_urls
from hedgerow.operations.objects import PATH as OBJECTS

READ, WRITE = Scope.TASK_READ, Scope.TASK_WRITE

PROJECT = "/api/projects/{project_id}/"
TASKS = PROJECT + "tasks/"
TASK = TASKS + "{task_id}/"
RUNS = TASK + "runs/"
RUN = RUNS + "{run_id}/"
INTEGRATIONS = PROJECT + "integrations/"
INTEGRATION = INTEGRATIONS + "{integration_id}/"
ME = "/api/users/@me/"
OWN_GITHUB = ME + "integrations/github/{installation_id}/"
SANDBOX_ENVIRONMENTS = PROJECT + "sandbox_environments/"
SANDBOX_ENVIRONMENT = SANDBOX_ENVIRONMENTS + "{environment_id}/"
KEYS = "/api/personal_api_keys/"
MESSAGES = RUN + "messages/"
MESSAGE = MESSAGES + "{message_id}/"


def _parameter(name: str, place: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": False, "description": description, "schema": schema}


def _query_of(model: type[SessionLogQuery]) -> tuple[dict[str, Any], ...]:
    properties = model.model_json_schema()["properties"]
    return tuple(_parameter(name, "query", schema.pop("description", ""), schema) for name, schema in properties.items())


_PAGING = (
    _parameter("limit", "query", "How many at most: 100, unless given, and at most 1000.", {"type": "integer"}),
    _parameter("offset", "query", "How many to leave out at the beginning.", {"type": "integer"}),
)
_SEARCH = (*_PAGING, _parameter("search", "query", "A part of the name.", {"type": "string"}))
_BRANCH_SEARCH = (*_SEARCH, _parameter("repo", "query", "organisation/repository; required.", {"type": "string"}))
_CURSOR = (
    _parameter("Last-Event-ID", "header", "Only events after this one.", {"type": "string"}),
    _parameter("start", "query", "`latest`: only what comes from now on.", {"type": "string", "enum": ["latest"]}),
)
_GITHUB = (429, 503, 504)  # what GitHub may be the reason for
_PAGE_HEADERS = {
    "X-Total-Count": "How many entries the log has.",
    "X-Filtered-Count": "How many entries pass the filters.",
    "X-Matching-Count": "The same as X-Filtered-Count.",
    "X-Has-More": "`true` where entries follow after this page.",
}

_LINE = (
    '{"type":"notification","timestamp":"2026-05-07T10:00:00.000Z","notification":{"jsonrpc":"2.0","method":"_posthog/turn_complete",'
    '"params":{"sessionId":"s1","stopReason":"end_turn"}}}'
)

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(method="GET", path=TASKS, handler=tasks.list_tasks, scope=READ, answers=TaskPage, parameters=_PAGING),
    Endpoint(method="POST", path=TASKS, handler=tasks.create_task, scope=WRITE, status=201, answers=Task, idempotent=True),
    # Before the paths of one task, which would take these words for an id.
    Endpoint(method="GET", path=TASKS + "repositories/", handler=task_overviews.task_repositories, scope=READ, answers=TaskRepositories),
    Endpoint(
        method="GET",
        path=TASKS + "repository_readiness/",
        handler=readiness.repository_readiness,
        scope=READ,
        answers=RepositoryReadiness,
    ),
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
    Endpoint(method="POST", path=TASK + "run/", handler=tasks.run_task, scope=WRITE, answers=Task, idempotent=True, refuses=("detail",)),
    Endpoint(method="GET", path=TASK + "slack_thread/", handler=slack.retrieve_slack_thread, scope=READ, answers=SlackThread),
    Endpoint(method="POST", path=TASK + "slack_thread/", handler=slack.map_slack_thread, scope=WRITE, status=201, answers=SlackThread),
    Endpoint(method="DELETE", path=TASK + "slack_thread/", handler=slack.unmap_slack_thread, scope=WRITE, status=204),
    Endpoint(method="GET", path=RUNS, handler=runs.list_runs, scope=READ, answers=TaskRunPage, parameters=_PAGING),
    Endpoint(
        method="POST",
        path=RUNS,
        handler=runs.create_run,
        scope=WRITE,
        status=201,
        answers=TaskRunDetail,
        idempotent=True,
        refuses=("detail",),
    ),
    Endpoint(method="GET", path=RUN, handler=runs.retrieve_run, scope=READ, answers=TaskRunDetail),
    Endpoint(method="PATCH", path=RUN, handler=runs.update_run, scope=WRITE, answers=TaskRunDetail),
    Endpoint(
        method="POST", path=RUN + "start/", handler=tasks.start_run, scope=WRITE, answers=Task, idempotent=True, refuses=("error", "detail")
    ),
    Endpoint(
        method="POST", path=RUN + "resume_in_cloud/", handler=runs.resume_in_cloud, scope=WRITE, answers=TaskRunDetail, refuses=("error",)
    ),
    Endpoint(method="PATCH", path=RUN + "set_output/", handler=runs.set_output, scope=WRITE, answers=TaskRunDetail, refuses=("error",)),
    Endpoint(
        method="POST",
        path=RUN + "relay_message/",
        handler=runs.relay_message,
        refuses=("error",),
        refuses_at=(503,),
        scope=WRITE,
        answers=RelayAnswer,
        idempotent=True,
    ),
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
    Endpoint(
        method="GET",
        path=RUN + "logs/",
        handler=logs.read_logs,
        scope=READ,
        plain=True,
        media_type=logs.JSON_LINES,
        answer_example=_LINE + "\n",
    ),
    Endpoint(
        method="GET",
        path=RUN + "session_logs/",
        handler=logs.session_logs,
        scope=READ,
        plain=True,
        lists=True,
        parameters=_query_of(SessionLogQuery),
        headers=_PAGE_HEADERS,
        answer_example=[json.loads(_LINE)],
    ),
    Endpoint(
        method="GET",
        path=RUN + "stream/",
        handler=stream.stream,
        scope=READ,
        plain=True,
        media_type="text/event-stream",
        parameters=_CURSOR,
        answer_example=f': hedgerow\n\nid: 7\ndata: {_LINE}\n\nevent: keepalive\ndata: {{"type":"keepalive"}}\n\n',
        errors=(406,),
    ),
    Endpoint(
        method="POST",
        path=RUN + "artifacts/",
        handler=artifacts.upload_artifacts,
        scope=WRITE,
        answers=Manifest,
        idempotent=True,
        keeps_answer=True,
        limit_bytes=ARTIFACT_BODY_BYTES,
        few_at_once=True,
    ),
    Endpoint(
        method="POST",
        path=RUN + "artifacts/prepare_upload/",
        handler=artifacts.prepare_artifact_upload,
        refuses=("error",),
        scope=WRITE,
        answers=PreparedArtifacts,
    ),
    Endpoint(
        method="POST",
        path=RUN + "artifacts/finalize_upload/",
        handler=artifacts.finalize_artifact_upload,
        refuses=("error",),
        scope=WRITE,
        answers=Manifest,
    ),
    Endpoint(
        method="POST",
        path=RUN + "artifacts/presign/",
        handler=artifacts.presign_artifact,
        refuses=("error",),
        refuses_at=(400, 404),
        scope=READ,
        answers=SignedAddress,
    ),
    Endpoint(
        method="POST",
        path=RUN + "artifacts/download/",
        handler=artifacts.download_artifact,
        refuses=("error",),
        refuses_at=(400, 404),
        scope=READ,
        media_type=artifacts.ANY_BYTES,
        answer_example="The bytes of the file.",
    ),
    Endpoint(
        method="POST",
        path=TASK + "staged_artifacts/prepare_upload/",
        handler=artifacts.prepare_staged_artifact_upload,
        refuses=("error",),
        scope=WRITE,
        answers=PreparedArtifacts,
    ),
    Endpoint(
        method="POST",
        path=TASK + "staged_artifacts/finalize_upload/",
        handler=artifacts.finalize_staged_artifact_upload,
        refuses=("error",),
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
        lingers=commands.is_forwarded,
        errors=(502, 504),
        refuses=("error",),
    ),
    Endpoint(method="GET", path=MESSAGES, handler=messages.list_messages, scope=READ, answers=MessagePage, parameters=_PAGING),
    Endpoint(method="PATCH", path=MESSAGE, handler=messages.move_message, scope=WRITE, answers=Message, errors=(409,)),
    Endpoint(method="DELETE", path=MESSAGE, handler=messages.delete_message, scope=WRITE, status=204, errors=(409,)),
    Endpoint(
        method="POST",
        path=MESSAGE + "promote/",
        handler=messages.promote_message,
        scope=WRITE,
        answers=Message,
        errors=(409,),
        refuses=("error",),
    ),
    Endpoint(method="POST", path=MESSAGE + "demote/", handler=messages.demote_message, scope=WRITE, answers=Message, errors=(409,)),
    Endpoint(
        method="GET",
        path=RUN + "permission_requests/",
        handler=permission_requests.list_permission_requests,
        scope=READ,
        answers=PermissionRequestPage,
        parameters=_PAGING,
    ),
    Endpoint(
        method="GET",
        path=PROJECT + "permission_requests/",
        handler=permission_requests.list_project_permission_requests,
        scope=READ,
        answers=PermissionRequestPage,
        parameters=_PAGING,
    ),
    Endpoint(
        method="GET",
        path=RUN + "connection_token/",
        handler=connection_tokens.connection_token,
        scope=WRITE,
        answers=connection_tokens.ConnectionToken,
    ),
    Endpoint(method="GET", path=PROJECT, handler=accounts.retrieve_project, scope=READ, answers=ProjectDetail),
    Endpoint(method="PATCH", path=PROJECT, handler=accounts.update_project, scope=WRITE, answers=ProjectDetail),
    Endpoint(
        method="POST",
        path=PROJECT + "insight_counts/",
        handler=readiness.report_insight_count,
        scope=WRITE,
        answers=ReportedInsightCount,
    ),
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
        method="GET",
        path=SANDBOX_ENVIRONMENTS,
        handler=sandbox_environments.list_sandbox_environments,
        scope=READ,
        answers=SandboxEnvironmentPage,
        parameters=_PAGING,
    ),
    Endpoint(
        method="POST",
        path=SANDBOX_ENVIRONMENTS,
        handler=sandbox_environments.create_sandbox_environment,
        scope=WRITE,
        status=201,
        answers=SandboxEnvironment,
    ),
    Endpoint(
        method="GET",
        path=SANDBOX_ENVIRONMENT,
        handler=sandbox_environments.retrieve_sandbox_environment,
        scope=READ,
        answers=SandboxEnvironment,
    ),
    Endpoint(
        method="PATCH",
        path=SANDBOX_ENVIRONMENT,
        handler=sandbox_environments.update_sandbox_environment,
        scope=WRITE,
        answers=SandboxEnvironment,
    ),
    Endpoint(method="DELETE", path=SANDBOX_ENVIRONMENT, handler=sandbox_environments.delete_sandbox_environment, scope=WRITE, status=204),
    Endpoint(method="GET", path=PROJECT + "audit/", handler=audit.list_audit, scope=Scope.ALL, answers=AuditPage, parameters=_PAGING),
    Endpoint(method="GET", path=KEYS, handler=accounts.list_personal_keys, scope=Scope.ALL, answers=PersonalKeyPage, parameters=_PAGING),
    Endpoint(method="GET", path=KEYS + "{key_id}/", handler=accounts.retrieve_personal_key, scope=Scope.ALL, answers=PersonalKey),
    Endpoint(method="DELETE", path=KEYS + "{key_id}/", handler=accounts.revoke_personal_key, scope=Scope.ALL, status=204),
    Endpoint(
        method="POST",
        path=KEYS,
        handler=accounts.create_personal_key,
        scope=Scope.ALL,
        status=201,
        answers=NewPersonalKey,
    ),
    Endpoint(method="GET", path=INTEGRATIONS, handler=github.list_integrations, scope=READ, answers=IntegrationPage, parameters=_PAGING),
    Endpoint(
        method="GET",
        path=INTEGRATION + "github_repos/",
        handler=github.github_repositories,
        scope=READ,
        answers=PickedRepositories,
        parameters=_SEARCH,
        errors=_GITHUB,
    ),
    Endpoint(
        method="POST",
        path=INTEGRATION + "github_repos/refresh/",
        handler=github.refresh_github_repositories,
        scope=WRITE,
        answers=PickedRepositories,
        parameters=_SEARCH,
        errors=_GITHUB,
    ),
    Endpoint(
        method="GET",
        path=INTEGRATION + "github_branches/",
        handler=github.github_branches,
        scope=READ,
        answers=PickedBranches,
        parameters=_BRANCH_SEARCH,
        errors=_GITHUB,
    ),
    Endpoint(
        method="GET",
        path=PROJECT + "feature_flags/",
        handler=github.feature_flags,
        scope=READ,
        answers=FeatureFlags,
        parameters=(_parameter("key", "query", "Only this flag.", {"type": "string"}),),
    ),
    Endpoint(method="GET", path=ME, handler=accounts.retrieve_current_user, answers=CurrentUser),
    Endpoint(method="PATCH", path=ME, handler=accounts.update_current_user, scope=WRITE, answers=CurrentUser),
    Endpoint(method="GET", path=ME + "github_login/", handler=github.own_github_login, scope=READ, answers=GitHubLogin),
    Endpoint(method="GET", path=ME + "integrations/", handler=github.own_integrations, scope=READ, answers=PersonalIntegrations),
    Endpoint(
        method="POST",
        path=ME + "integrations/github/start/",
        handler=github.start_github,
        scope=WRITE,
        answers=InstallAddress,
        errors=_GITHUB,
    ),
    Endpoint(
        method="GET",
        path=OWN_GITHUB + "repos/",
        handler=github.own_github_repositories,
        scope=READ,
        answers=PickedRepositories,
        parameters=_SEARCH,
        errors=_GITHUB,
    ),
    Endpoint(
        method="POST",
        path=OWN_GITHUB + "repos/refresh/",
        handler=github.refresh_own_github_repositories,
        scope=WRITE,
        answers=PickedRepositories,
        parameters=_SEARCH,
        errors=_GITHUB,
    ),
    Endpoint(
        method="GET",
        path=OWN_GITHUB + "branches/",
        handler=github.own_github_branches,
        scope=READ,
        answers=PickedBranches,
        parameters=_BRANCH_SEARCH,
        errors=_GITHUB,
    ),
    Endpoint(
        method="GET",
        path="/api/connection_public_key/",
        handler=connection_tokens.public_key,
        answers=connection_tokens.PublicKey,
        open=True,
    ),
    Endpoint(method="GET", path="/api/end_reasons/", handler=end_reasons.list_end_reasons, answers=end_reasons.EndReasonList, open=True),
    Endpoint(
        method="GET",
        path=log_urls.PATH,
        handler=logs.read_signed_log,
        open=True,
        media_type=logs.JSON_LINES,
        answer_example=_LINE + "\n",
        parameters=(
            _parameter("expires", "query", "Part of the signed address.", {"type": "string"}),
            _parameter("signature", "query", "Part of the signed address.", {"type": "string"}),
        ),
        errors=(403,),
    ),
    Endpoint(method="POST", path=OBJECTS, handler=objects.receive_object, open=True, status=204, takes_form=True, errors=(400, 403, 415)),
    Endpoint(
        method="GET",
        path=OBJECTS,
        handler=objects.send_object,
        open=True,
        media_type=artifacts.ANY_BYTES,
        answer_example="The bytes of the file.",
        parameters=tuple(
            _parameter(name, "query", "Part of the signed address.", {"type": "string"}) for name in ("key", "expires", "signature")
        ),
        errors=(403,),
    ),
    Endpoint(method="GET", path="/health/", handler=health.health, answers=health.Health, open=True),
)
