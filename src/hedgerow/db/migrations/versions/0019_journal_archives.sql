-- Stretches of journals that lie in the object store instead of the table `journal`.
CREATE TABLE journal_archives (
    run_id uuid NOT NULL REFERENCES journals (run_id),
    first bigint NOT NULL,
    last bigint NOT NULL,
    entries bigint NOT NULL,  -- how many of the events are log entries
    types json,  -- {"event_type": how many entries}; NULL: too many types to list
    earliest timestamptz,  -- of the entries that have a timestamp
    latest timestamptz,
    undated bigint NOT NULL,  -- entries without a timestamp
    storage_path text NOT NULL UNIQUE,
    size_bytes bigint NOT NULL,
    sha256 bytea NOT NULL,  -- of the object
    archived_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, last)
);

-- Events up to `archived_to` lie in the archive, events up to `removed_to` are nowhere any more.
ALTER TABLE journals ADD COLUMN archived_to bigint NOT NULL DEFAULT 0;
ALTER TABLE journals ADD COLUMN removed_to bigint NOT NULL DEFAULT 0;
ALTER TABLE journals ADD COLUMN removed_at timestamptz;

-- What housekeeping looks for: runs that ended long ago.
CREATE INDEX runs_ended ON runs (completed_at) WHERE completed_at IS NOT NULL;

-- When this machine last looked at its disk, and found it nearly full.
ALTER TABLE nodes ADD COLUMN disk_full_since timestamptz;
ALTER TABLE nodes ADD COLUMN disk_free_bytes bigint;
