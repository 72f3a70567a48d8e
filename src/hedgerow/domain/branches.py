"""How the branch of a run's result is called."""

from uuid import UUID


def result_branch(task_slug: str, run_number: int) -> str:
    """`hedgerow/<task slug>-<n-th run of the task>`."""
    return f"hedgerow/{task_slug}-{run_number}"


def distinct_result_branch(branch: str, run_id: UUID) -> str:
    """The name to take where `branch` exists already: the last six characters of the run's id are added.

    The last ones: a UUIDv7 begins with the time, so ids of one moment differ only at their end.
    """
    return f"{branch}-{run_id.hex[-6:]}"
