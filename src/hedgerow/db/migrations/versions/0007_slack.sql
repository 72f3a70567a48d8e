-- The thread that the runs of a task are told in.
CREATE TABLE slack_threads (
    task_id uuid PRIMARY KEY REFERENCES tasks (id),
    channel text NOT NULL,
    thread_ts text NOT NULL,
    url text NOT NULL,
    created_by integer REFERENCES users (id),
    created_at timestamptz NOT NULL
);

-- What is to be posted, and what was. The row is the truth: whoever finds it due takes it for a while and sends it.
CREATE TABLE relays (
    id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,  -- the relays of a run are posted in this order
    run_id uuid NOT NULL REFERENCES runs (id),
    project_id integer NOT NULL REFERENCES projects (id),
    kind text NOT NULL,  -- RelayKind
    channel text NOT NULL,
    thread_ts text NOT NULL,
    text text NOT NULL,
    status text NOT NULL DEFAULT 'queued',  -- RelayStatus
    attempts integer NOT NULL DEFAULT 0,
    attempt_at timestamptz NOT NULL,  -- the next attempt; while one is under way, when it counts as lost
    doubtful boolean NOT NULL DEFAULT false,  -- an earlier attempt may have gone through
    message_ts text,
    error text,
    created_at timestamptz NOT NULL
);
CREATE INDEX relays_due ON relays (attempt_at) WHERE status = 'queued';
CREATE INDEX relays_queued_of_run ON relays (run_id, number) WHERE status = 'queued';
CREATE UNIQUE INDEX relays_of_pull_requests ON relays (run_id, text) WHERE kind = 'pull_request';
CREATE INDEX relays_over ON relays (created_at) WHERE status <> 'queued';  -- those that are over are forgotten by their age
