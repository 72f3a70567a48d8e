-- A run holds a place from its claim until it is cleaned up. Before that it waits in the line of its project.
ALTER TABLE runs ADD COLUMN claimed_at timestamptz;
ALTER TABLE runs ADD COLUMN place integer;  -- where it stands in line, 1 is next; null: in no line
UPDATE runs SET claimed_at = started_at WHERE node_id IS NOT NULL;
CREATE INDEX runs_waiting ON runs (project_id, place, started_at, id)
    WHERE started_at IS NOT NULL AND claimed_at IS NULL AND cleaned_at IS NULL AND environment = 'cloud';
CREATE INDEX runs_holding ON runs (project_id) WHERE claimed_at IS NOT NULL AND cleaned_at IS NULL;

-- Preparing it is tried again where it failed for a reason that may pass.
ALTER TABLE runs ADD COLUMN prepare_attempts integer NOT NULL DEFAULT 0;  -- how many have failed
ALTER TABLE runs ADD COLUMN retry_at timestamptz;
ALTER TABLE runs ADD COLUMN sandbox_made_at timestamptz;

-- Its agent was asked to stop its turn: how the run ends once that is over, or at the latest when.
ALTER TABLE runs ADD COLUMN stopping json;  -- {"status", "reason", "message"}
ALTER TABLE runs ADD COLUMN stop_by timestamptz;

-- When the run's agent server handed something over last; of mere message chunks it is noted once a minute.
ALTER TABLE journals ADD COLUMN heard_at timestamptz;
