-- Whether the last try to checkpoint a run came to nothing, so that its newest checkpoint lacks what was done since.
ALTER TABLE runs ADD COLUMN checkpoint_failed boolean NOT NULL DEFAULT false;
