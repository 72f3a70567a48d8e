-- Whether what a run's node holds of it is of an earlier start, and goes before the run begins anew.
ALTER TABLE runs ADD COLUMN restarting boolean NOT NULL DEFAULT false;
