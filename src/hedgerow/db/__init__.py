"""PostgreSQL: one file of SQL functions per noun, the journal, wake-ups, the job queue, the embedded server and the migrations."""
