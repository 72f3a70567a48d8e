-- What a project has turned on, as clients of the original name it.
ALTER TABLE projects
    ADD COLUMN proactive_tasks_enabled boolean NOT NULL DEFAULT false,
    ADD COLUMN session_recording_opt_in boolean NOT NULL DEFAULT false,
    ADD COLUMN autocapture_exceptions_opt_in boolean NOT NULL DEFAULT false;

-- The scan of a repository: what was asked for, and what the last one found. A job only nudges a worker to look here.
CREATE TABLE repository_scans (
    id uuid PRIMARY KEY,
    project_id integer NOT NULL REFERENCES projects (id),
    repository text NOT NULL,
    wanted integer NOT NULL,  -- the number of the last scan that was asked for
    done integer NOT NULL DEFAULT 0,  -- the number of the last one that was tried
    requested_at timestamptz NOT NULL,
    tried_at timestamptz,  -- when the last try began
    problem text,  -- why it failed; NULL: it did not
    commit text,
    result json,  -- a Scan; NULL: the repository was never reached
    UNIQUE (project_id, repository)
);
CREATE INDEX repository_scans_to_do ON repository_scans (requested_at) WHERE done < wanted;

-- Answers, kept for a few minutes.
CREATE TABLE repository_readiness (
    project_id integer NOT NULL REFERENCES projects (id),
    integration_id integer NOT NULL,  -- 0: a registered repository of a project without one
    repository text NOT NULL,
    window_days integer NOT NULL,
    generated_at timestamptz NOT NULL,
    answer json NOT NULL,
    PRIMARY KEY (project_id, integration_id, repository, window_days)
);
CREATE INDEX repository_readiness_age ON repository_readiness (generated_at);

-- What an analytics system has counted.
CREATE TABLE insight_counts (
    project_id integer NOT NULL REFERENCES projects (id),
    kind text NOT NULL,  -- InsightKind
    name text NOT NULL,
    day date NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (project_id, kind, name, day)
);
CREATE INDEX insight_counts_age ON insight_counts (day);

CREATE INDEX tasks_of_repository ON tasks (project_id, repository, created_at) WHERE deleted_at IS NULL;
