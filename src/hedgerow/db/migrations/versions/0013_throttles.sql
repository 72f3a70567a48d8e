-- How often a project was called in the window that runs. Unlogged: after a crash the counting begins anew.
CREATE UNLOGGED TABLE call_counts (
    project_id integer NOT NULL,
    window_seconds integer NOT NULL,
    began_at timestamptz NOT NULL,
    calls integer NOT NULL,
    PRIMARY KEY (project_id, window_seconds)
) WITH (fillfactor = 50);
