"""What to do about a job. No I/O."""

from __future__ import annotations

from ..admin import JobDetails, JobState, ListedJob


def advice(found: JobDetails, *, is_dead: bool) -> list[str]:
    """Lines for whoever looks at the page of a job."""
    job, told = found.job, []
    if job.problem:
        told.append(f"Its payload can't be shown: {job.problem}.")
    if is_dead:
        told.append(
            "It has failed for good and is kept with its arguments. Mend the cause, deploy, then requeue it: "
            "it runs again with the same id."
        )
    else:
        told += _by_state(found)
    if found.crashes:
        told.append(
            "A worker has died while it ran this job: look for memory and for native code that crashes."
        )
    if job.interrupted:
        told.append(
            f"{job.interrupted} starts were ended by the stop of a worker; they do not count as tries."
        )
    return told


def _by_state(found: JobDetails) -> list[str]:
    job = found.job
    match job.state:
        case JobState.done:
            return _of_done(job)
        case JobState.queued:
            return [
                "It is due and waits for a worker. If that takes long: is the queue paused, is every worker busy?"
            ]
        case JobState.deferred if job.tries:
            return ["It was tried before and waits for its next try. Run it now if the cause is mended."]
        case JobState.deferred:
            return ["Its time has not come yet. Run it now if you do not want to wait."]
        case JobState.running if found.abort_asked_ms:
            return ["Somebody has asked to abort it, which workers with allow_abort_jobs=True do."]
    return []


def _of_done(job: ListedJob) -> list[str]:
    if job.success is not False:
        return []
    return ["It has failed for good and is not in the dead set: enqueue it anew if it is still needed."]
