"""The record of who did what: to be kept beside what was done, without a word of what it was about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from hedgerow.domain.access import Caller, User


class ActorKind(StrEnum):
    """Who does something."""

    USER = "user"  # a person, through a personal key
    RUN = "run"  # the agent server of a run, through its run token
    OPERATOR = "operator"  # a command of the operator, on the server's own machine
    SERVER = "server"  # hedgerow by itself


Actor = Caller | ActorKind
"""Whoever acts: a caller, or OPERATOR or SERVER where nobody called."""


class AuditAction(StrEnum):
    """What is recorded. A new one is a line here and a call of `operations.audit.note`."""

    USER_CREATE = "user.create"
    PROJECT_CREATE = "project.create"
    PROJECT_UPDATE = "project.update"
    MEMBER_ADD = "member.add"
    MEMBER_REMOVE = "member.remove"
    KEY_CREATE = "key.create"
    KEY_REVOKE = "key.revoke"
    TASK_CREATE = "task.create"
    TASK_UPDATE = "task.update"
    TASK_DELETE = "task.delete"
    RUN_CREATE = "run.create"
    RUN_START = "run.start"
    RUN_RESUME = "run.resume"
    RUN_MOVE = "run.move"
    RUN_HAND_OVER = "run.hand_over"
    COMMAND_USER_MESSAGE = "command.user_message"
    COMMAND_CANCEL = "command.cancel"
    COMMAND_CLOSE = "command.close"
    COMMAND_PERMISSION_RESPONSE = "command.permission_response"
    COMMAND_SET_CONFIG_OPTION = "command.set_config_option"
    MESSAGE_MOVE = "message.move"
    MESSAGE_DELETE = "message.delete"
    MESSAGE_PROMOTE = "message.promote"
    MESSAGE_DEMOTE = "message.demote"
    ARTIFACT_UPLOAD = "artifact.upload"
    ARTIFACT_FINALIZE = "artifact.finalize"
    ARTIFACT_STAGE = "artifact.stage"
    ENVIRONMENT_CREATE = "environment.create"
    ENVIRONMENT_UPDATE = "environment.update"
    ENVIRONMENT_DELETE = "environment.delete"
    INTEGRATION_CREATE = "integration.create"
    INTEGRATION_DELETE = "integration.delete"
    GITHUB_LINK = "github.link"
    GITHUB_UNLINK = "github.unlink"
    SLACK_THREAD_MAP = "slack_thread.map"
    SLACK_THREAD_UNMAP = "slack_thread.unmap"
    REPOSITORY_REGISTER = "repository.register"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditNote:
    """Something that was done."""

    at: datetime
    actor: ActorKind
    user_id: int | None = None
    key_id: UUID | None = None
    acting_run_id: UUID | None = None
    action: AuditAction
    project_id: int | None = None
    task_id: UUID | None = None
    run_id: UUID | None = None
    subject: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A note as it is read: with its number, by which the newest comes first, and the person as they are now."""

    number: int
    note: AuditNote
    user: User | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilters:
    """What the record is narrowed by. None: not narrowed; all combine."""

    project_id: int | None = None
    task_id: UUID | None = None
    run_id: UUID | None = None
    action: AuditAction | None = None
    actor: ActorKind | None = None
    user_id: int | None = None
    after: datetime | None = None
