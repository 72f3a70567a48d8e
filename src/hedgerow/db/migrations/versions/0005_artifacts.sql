-- The manifest of a run, one row an entry. Written under the lock of the run's row.
CREATE TABLE artifacts (
    run_id uuid NOT NULL REFERENCES runs (id),
    position integer NOT NULL,  -- 1, 2, 3 ... as they were added
    id text NOT NULL,
    name text NOT NULL,
    type text NOT NULL,  -- ArtifactType
    source text NOT NULL,
    size bigint NOT NULL,
    content_type text NOT NULL,
    storage_path text NOT NULL,
    uploaded_at timestamptz NOT NULL,
    expires_at timestamptz,  -- when its object goes; NULL: never, or it has gone
    gone_at timestamptz,  -- when the collector removed its object; the entry stays
    PRIMARY KEY (run_id, position),
    UNIQUE (run_id, id),
    UNIQUE (run_id, storage_path)
);
CREATE INDEX artifacts_to_collect ON artifacts (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX artifacts_by_object ON artifacts (storage_path);

-- How many rows of the manifest a run has: most have none, and then nobody looks for them.
ALTER TABLE runs ADD COLUMN artifact_count integer NOT NULL DEFAULT 0;

-- Artifacts that were uploaded for a run that does not exist yet. A run takes them over once.
CREATE TABLE staged_artifacts (
    task_id uuid NOT NULL REFERENCES tasks (id),
    id text NOT NULL,
    name text NOT NULL,
    type text NOT NULL,
    source text NOT NULL,
    size bigint NOT NULL,
    content_type text NOT NULL,
    storage_path text NOT NULL,
    uploaded_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (task_id, id)
);
CREATE INDEX staged_artifacts_to_collect ON staged_artifacts (expires_at);
CREATE INDEX staged_artifacts_by_object ON staged_artifacts (storage_path);

-- Objects that were, or may be, written although no manifest names them yet. Known before the object is, so that none is left behind.
CREATE TABLE loose_objects (
    storage_path text PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX loose_objects_to_collect ON loose_objects (expires_at);
