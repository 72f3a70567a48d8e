-- session_logs filters and counts in the index alone, without touching the texts.
UPDATE journal SET event_type = left(event_type, 200) WHERE length(event_type) > 200;
ALTER TABLE journal DROP CONSTRAINT journal_pkey;
ALTER TABLE journal ADD PRIMARY KEY (run_id, number) INCLUDE (kind, event_type, timestamp);

-- An index scan alone is only that where pages are known to be visible to all, and rows of the journal are never changed.
ALTER TABLE journal SET (autovacuum_vacuum_insert_scale_factor = 0.02);

-- How many tasks a list without filters has: kept by the database, whoever writes.
ALTER TABLE projects ADD COLUMN task_count integer NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN internal_task_count integer NOT NULL DEFAULT 0;
UPDATE projects SET
    task_count = (SELECT count(*) FROM tasks WHERE project_id = projects.id AND deleted_at IS NULL AND NOT internal),
    internal_task_count = (SELECT count(*) FROM tasks WHERE project_id = projects.id AND deleted_at IS NULL AND internal);

CREATE FUNCTION change_task_counts(project integer, visible integer, hidden integer) RETURNS void LANGUAGE sql AS $$
    UPDATE projects SET task_count = task_count + visible, internal_task_count = internal_task_count + hidden WHERE id = project
$$;

-- Once a statement, however many tasks it brings or removes.
CREATE FUNCTION count_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sign integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    PERFORM change_task_counts(
        project_id, sign * (count(*) FILTER (WHERE NOT internal))::integer, sign * (count(*) FILTER (WHERE internal))::integer
    ) FROM changed WHERE deleted_at IS NULL GROUP BY project_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER tasks_come AFTER INSERT ON tasks REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_tasks();
CREATE TRIGGER tasks_go AFTER DELETE ON tasks REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_tasks();

CREATE FUNCTION recount_task() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was integer := (OLD.deleted_at IS NULL)::integer;
    is_now integer := (NEW.deleted_at IS NULL)::integer;
BEGIN
    PERFORM change_task_counts(
        NEW.project_id,
        is_now * (NOT NEW.internal)::integer - was * (NOT OLD.internal)::integer,
        is_now * NEW.internal::integer - was * OLD.internal::integer
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER tasks_change_lists AFTER UPDATE OF deleted_at, internal ON tasks FOR EACH ROW
    WHEN ((OLD.deleted_at IS NULL, OLD.internal) IS DISTINCT FROM (NEW.deleted_at IS NULL, NEW.internal)) EXECUTE FUNCTION recount_task();

DROP INDEX tasks_newest_first;
CREATE INDEX tasks_newest_first ON tasks (project_id, internal, created_at DESC, id DESC) WHERE deleted_at IS NULL;
