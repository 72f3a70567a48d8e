-- The newest git checkpoint of a run, as its journal entry describes it: what another node goes on from.
ALTER TABLE runs ADD COLUMN checkpoint json;
