-- Who did what. It names rows that may be gone by now, so nothing here refers to them; it holds no texts and no secrets.
CREATE TABLE audit (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,  -- ActorKind
    user_id integer,  -- the person, where it was one
    key_id uuid,  -- the personal key that they used
    acting_run_id uuid,  -- the run whose token was used
    action text NOT NULL,  -- AuditAction
    project_id integer,  -- NULL: it concerns no project, or several
    task_id uuid,
    run_id uuid,
    subject text,  -- the id of what else was changed: a key, a member, an environment, an integration
    detail json NOT NULL DEFAULT '{}',
    request_id text
);
CREATE INDEX audit_of_project ON audit (project_id, number DESC);
CREATE INDEX audit_of_task ON audit (task_id, number DESC) WHERE task_id IS NOT NULL;
CREATE INDEX audit_of_run ON audit (run_id, number DESC) WHERE run_id IS NOT NULL;
