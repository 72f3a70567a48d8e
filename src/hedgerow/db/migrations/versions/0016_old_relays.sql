-- Relays that are over are forgotten by their age.
CREATE INDEX relays_over ON relays (created_at) WHERE status <> 'queued';
