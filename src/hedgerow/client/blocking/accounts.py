# Made from asynchronous/accounts.py by scripts/blocking-client: change that file, not this one.
"""The caller, their projects and keys, registered repositories, and the server itself (contract 11.2, 13.4)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Unpack

from hedgerow.client import answers
from hedgerow.client.blocking.caller import Caller
from hedgerow.client.calls import Repeat, delete, get, patch, post
from hedgerow.client.places import quoted

if TYPE_CHECKING:
    from hedgerow.client.answers.accounts import CurrentUser, PersonalKey, Project
    from hedgerow.client.answers.audit import AuditEntry
    from hedgerow.client.answers.end_reasons import EndReasonDetail
    from hedgerow.client.answers.pages import Page
    from hedgerow.client.answers.repositories import Repository
    from hedgerow.client.fields import AuditFilters, ProjectSwitches

_KEYS = "/api/personal_api_keys/"


class AccountCalls(Caller):
    """What one can ask about oneself and one's project."""

    def retrieve_current_user(self) -> CurrentUser:
        """The person whose key is used."""
        return self._ask(get("/api/users/@me/"), answers.accounts.current_user_from)

    def update_current_user(self, *, set_current_organization: str) -> CurrentUser:
        """Choose the organization that the person works in."""
        return self._ask(
            patch("/api/users/@me/", {"set_current_organization": set_current_organization}), answers.accounts.current_user_from
        )

    def retrieve_project(self, project_id: int | str | None = None) -> Project:
        """A project of the person; without an id that of this client."""
        project = self.credentials.project if project_id is None else project_id
        return self._ask(get(f"/api/projects/{quoted(project)}/"), answers.accounts.project_from)

    def create_personal_key(self, label: str, scopes: Sequence[str], *, project_ids: Sequence[int] | None = None) -> PersonalKey:
        """A further key of the person, for some projects or for all that the key in use reaches. Its value is told this once.

        This call is not made a second time where its outcome is not known: there might be two keys.
        """
        body = {"label": label, "scopes": list(scopes)} | ({} if project_ids is None else {"scoped_teams": list(project_ids)})
        return self._ask(post(_KEYS, body), answers.accounts.personal_key_from)

    def list_personal_keys(self, *, limit: int = 100, offset: int = 0) -> Page[PersonalKey]:
        """The person's keys, without their values: one page."""
        return self._ask(get(_KEYS, limit=limit, offset=offset), answers.pages.page_of(answers.accounts.personal_key_from))

    def retrieve_personal_key(self, key_id: str) -> PersonalKey:
        """One of the person's keys, without its value."""
        return self._ask(get(f"{_KEYS}{quoted(key_id)}/"), answers.accounts.personal_key_from)

    def revoke_personal_key(self, key_id: str) -> None:
        """Make a key of the person worthless from now on."""
        self._answer(delete(f"{_KEYS}{quoted(key_id)}/"))

    def update_project(self, **switches: Unpack[ProjectSwitches]) -> Project:
        """Turn on or off what the readiness of the project's repositories depends on."""
        return self._ask(patch(f"/api/projects/{quoted(self.credentials.project)}/", {**switches}), answers.accounts.project_from)

    def report_insight_count(self, kind: str, name: str, day: date, count: int) -> None:
        """Say how often something was seen on a day, in place of what was reported before; readiness is read from that."""
        body = {"kind": kind, "name": name, "day": day.isoformat(), "count": count}
        self._answer(post("insight_counts/", body, repeat=Repeat.FREELY))

    def list_audit(self, *, limit: int = 100, offset: int = 0, **filters: Unpack[AuditFilters]) -> Page[AuditEntry]:
        """Who did what in the project, newest first: one page."""
        return self._ask(get("audit/", limit=limit, offset=offset, **filters), answers.pages.page_of(answers.audit.audit_entry_from))

    def list_repositories(self, *, limit: int = 1000, offset: int = 0) -> Page[Repository]:
        """The project's registered repositories: one page of at most 1,000."""
        return self._ask(get("repositories/", limit=limit, offset=offset), answers.pages.page_of(answers.repositories.repository_from))

    def register_repository(self, *, clone_url: str, name: str | None = None, setup_command: str | None = None) -> Repository:
        """Make a repository known to the project; the answer says under which name tasks call it. A known name gets the new URL."""
        fields = {"clone_url": clone_url, "name": name, "setup_command": setup_command}
        body = {field: value for field, value in fields.items() if value is not None}
        return self._ask(post("repositories/", body, repeat=Repeat.FREELY), answers.repositories.repository_from)

    def list_end_reasons(self) -> tuple[EndReasonDetail, ...]:
        """Every reason that a run may end for, in plain words."""
        return self._ask(get("/api/end_reasons/"), answers.end_reasons.end_reasons_from)

    def public_key(self) -> str:
        """The public key, as PEM, that connection tokens are checked with."""
        return self._ask(get("/api/connection_public_key/"), lambda body: str(body["public_key"]))

    def health(self) -> bool:
        """Whether the server says that it serves. Raises ClientError where it says otherwise, or nothing."""
        return self._ask(get("/health"), lambda body: bool(body["status"] == "ok"))
