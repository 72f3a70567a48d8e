-- People, projects and keys.

CREATE TABLE users (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid uuid NOT NULL UNIQUE,
    distinct_id text NOT NULL UNIQUE,
    email text NOT NULL,
    first_name text NOT NULL DEFAULT '',
    last_name text NOT NULL DEFAULT '',
    is_staff boolean NOT NULL DEFAULT false,
    current_project_id integer,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (lower(email));

CREATE TABLE projects (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid uuid NOT NULL UNIQUE,
    name text NOT NULL,
    next_task_number integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL
);

ALTER TABLE users ADD FOREIGN KEY (current_project_id) REFERENCES projects (id);

CREATE TABLE project_members (
    project_id integer NOT NULL REFERENCES projects (id),
    user_id integer NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (project_id, user_id)
);

CREATE TABLE personal_api_keys (
    id uuid PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users (id),
    label text NOT NULL,
    hash bytea NOT NULL UNIQUE,  -- SHA-256 of the value, which has 256 random bits of its own
    scopes text[] NOT NULL,
    project_ids integer[],  -- NULL: every project of the user
    created_at timestamptz NOT NULL,
    last_used_at timestamptz
);

-- The one RSA key that signs connection tokens; encrypted with the operator's secret key.
CREATE TABLE signing_keys (
    name text PRIMARY KEY,
    encrypted bytea NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE repositories (
    id uuid PRIMARY KEY,
    project_id integer NOT NULL REFERENCES projects (id),
    name text NOT NULL,  -- org/repo, lower case
    clone_url text NOT NULL,
    setup_command text,
    created_by integer REFERENCES users (id),
    created_at timestamptz NOT NULL,
    UNIQUE (project_id, name)
);

-- Tasks and runs.

CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    project_id integer NOT NULL REFERENCES projects (id),
    task_number integer NOT NULL,
    title text NOT NULL,
    title_manually_set boolean NOT NULL,
    description text NOT NULL,
    origin_product text NOT NULL,
    repository text,
    github_integration integer,
    github_user_integration uuid,
    signal_report uuid,
    signal_report_task_relationship text,
    json_schema json,
    internal boolean NOT NULL DEFAULT false,
    ci_prompt text,
    created_by integer REFERENCES users (id),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    run_count integer NOT NULL DEFAULT 0,  -- numbers the runs of the task
    UNIQUE (project_id, task_number)
);
CREATE INDEX tasks_newest_first ON tasks (project_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;

-- A node is a machine with its own data directory; its workers report here.
CREATE TABLE nodes (
    id uuid PRIMARY KEY,
    worker_url text NOT NULL,
    seen_at timestamptz NOT NULL
);

CREATE TABLE runs (
    id uuid PRIMARY KEY,
    task_id uuid NOT NULL REFERENCES tasks (id),
    project_id integer NOT NULL REFERENCES projects (id),
    number integer NOT NULL,
    stage text,
    branch text,
    status text NOT NULL,
    environment text NOT NULL,
    error_message text,
    output json,  -- json, not jsonb: the text is kept, a NUL escape included
    state json NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    completed_at timestamptz,
    -- The execution: facts that the server knows of a run that it drives.
    started_at timestamptz,
    epoch integer NOT NULL DEFAULT 0,
    node_id uuid REFERENCES nodes (id),
    sandbox json,  -- {"provider", "id"}
    checked_out_at timestamptz,
    base_commit text,
    session_ready_at timestamptz,
    turn_started_at timestamptz,
    turn_ended_at timestamptz,
    stop_reason text,
    active_at timestamptz,
    cancel_requested_at timestamptz,
    ending json,  -- {"status", "reason", "message"}
    landed_at timestamptz,
    cleaned_at timestamptz,
    wake_at timestamptz,  -- the next time somebody must look; a job is only a nudge to look earlier
    UNIQUE (task_id, number)
) WITH (fillfactor = 80);
CREATE INDEX runs_newest_first ON runs (task_id, created_at DESC, id DESC);
CREATE INDEX runs_to_look_at ON runs (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX runs_of_node ON runs (node_id) WHERE node_id IS NOT NULL AND cleaned_at IS NULL;

CREATE TABLE messages (
    id uuid PRIMARY KEY,
    run_id uuid NOT NULL REFERENCES runs (id),
    position bigint NOT NULL,
    content text,
    artifacts json NOT NULL DEFAULT '[]',
    status text NOT NULL,
    error text,
    created_at timestamptz NOT NULL,
    UNIQUE (run_id, position)
);
CREATE INDEX messages_unfinished ON messages (run_id, position) WHERE status IN ('queued', 'delivered');

-- The journal. Its head stands apart from the run, so that an append locks and rewrites one narrow row.

CREATE TABLE journals (
    run_id uuid PRIMARY KEY REFERENCES runs (id),
    head bigint NOT NULL DEFAULT 0,
    entries bigint NOT NULL DEFAULT 0,  -- how many of the events are log entries
    epoch integer NOT NULL DEFAULT 0  -- an append of an older epoch is refused
) WITH (fillfactor = 50);

CREATE TABLE journal (
    run_id uuid NOT NULL,
    number bigint NOT NULL,
    kind smallint NOT NULL,  -- EventKind
    event_type text NOT NULL,
    timestamp timestamptz,
    text text NOT NULL,
    PRIMARY KEY (run_id, number)
);

-- Answers that are given again to the same Idempotency-Key.
CREATE TABLE idempotency_keys (
    caller text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    key text NOT NULL,
    body_hash bytea NOT NULL,
    status integer,
    body bytea,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (caller, method, path, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
