-- The newest run of a task is the one with the highest number, whatever the clock said when it was made.
DROP INDEX runs_newest_first;
