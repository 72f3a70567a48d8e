-- Messages that wait can be moved and taken back, until a worker has taken them.
ALTER TABLE messages ADD COLUMN taken_at timestamptz;
UPDATE messages SET taken_at = created_at WHERE status <> 'queued';
-- Checked at the end of a statement, so that one statement can move several messages.
ALTER TABLE messages DROP CONSTRAINT messages_run_id_position_key;
ALTER TABLE messages ADD CONSTRAINT messages_run_id_position_key UNIQUE (run_id, position) DEFERRABLE INITIALLY IMMEDIATE;

-- A key that is held without a transaction: by whom, and until when unless it is held longer.
ALTER TABLE idempotency_keys ADD COLUMN holder uuid;
ALTER TABLE idempotency_keys ADD COLUMN held_until timestamptz;
