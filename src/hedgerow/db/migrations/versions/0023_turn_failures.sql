-- How a run ends whose last turn failed: with the agent's own words and the reason that goes with them.
ALTER TABLE runs ADD COLUMN failure jsonb;
