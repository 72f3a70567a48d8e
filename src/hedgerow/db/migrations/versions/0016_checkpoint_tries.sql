-- The last try to checkpoint a run's files, whatever came of it: when it began, the end of the turn that it came after, and whether
-- it was of files that no sandbox could change any more.
ALTER TABLE runs ADD COLUMN checkpointed_at timestamptz;
ALTER TABLE runs ADD COLUMN checkpointed_turn timestamptz;
ALTER TABLE runs ADD COLUMN checkpointed_at_rest boolean NOT NULL DEFAULT false;
