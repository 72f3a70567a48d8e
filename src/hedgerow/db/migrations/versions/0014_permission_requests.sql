-- What agents ask leave for. Whoever writes here holds the lock of the run's row.
CREATE TABLE permission_requests (
    run_id uuid NOT NULL REFERENCES runs (id),
    request_id text NOT NULL,  -- the agent server's
    options json NOT NULL,
    tool_call json NOT NULL,
    asked_at timestamptz NOT NULL,
    deadline timestamptz,  -- when it is rejected where nobody has answered; NULL: never
    state text NOT NULL,  -- RequestState
    option_id text,  -- the answer; NULL beside answered_at: no option says no, so it counts as cancelled
    input json NOT NULL DEFAULT '{}',  -- what came with the answer
    answered_at timestamptz,
    answered_by integer REFERENCES users (id),
    reason text,
    delivered_at timestamptz,  -- the agent server has taken the answer
    PRIMARY KEY (run_id, request_id)
);
CREATE INDEX permission_requests_in_order ON permission_requests (run_id, asked_at, request_id);
-- Those that somebody has to do something about.
CREATE INDEX permission_requests_open ON permission_requests (run_id)
    WHERE state = 'waiting' OR (state IN ('answered', 'expired') AND delivered_at IS NULL);
