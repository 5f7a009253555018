"""What can be done on the dashboard: names, rights, questions and answers. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from ..admin import Deed, JobState


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done.

    Attributes:
        name: in forms.
        right: what is needed for it.
        label: on its button.
        of: what it is done with: job, queue, schedule, worker.
        past: what became of one with which it was done.
        trail: its name in the audit trail.
        is_final: nothing brings back what it takes.
        states: of jobs in these states it can be asked for.
        hint: what it means, where one has to be sure.
    """

    name: str
    right: str
    label: str
    of: str
    past: str
    trail: str
    is_final: bool = False
    states: tuple[JobState, ...] = ()
    hint: str = ""

    def question(self, count: str) -> str:
        """What is asked before: Requeue 3 jobs for one try?"""
        verb, _, rest = self.label.partition(" ")
        return f"{verb} {count} {rest}".rstrip() + "?"

    @property
    def label_of_all(self) -> str:
        """On the button that does it to all that fit a filter: Requeue all for one try."""
        verb, _, rest = self.label.partition(" ")
        return f"{verb} all {rest}".rstrip()

    def fits(self, state: str) -> bool:
        """Whether it can be done with jobs of this state; '': with all that are in the queue."""
        return (
            state in self.states
            if state
            else JobState.queued in self.states or JobState.deferred in self.states
        )


_WAITING = (JobState.queued, JobState.deferred)
_ALL = (
    Action("run_now", "retry", "Run now", "job", "due now", "run now", states=(JobState.deferred,)),
    Action(
        "abort",
        "abort",
        "Abort",
        "job",
        "aborted",
        "abort",
        states=(*_WAITING, JobState.running),
        hint="Jobs that wait leave the queue, and whoever waits for a result hears of it. Those that run are asked to "
        "end, which workers with allow_abort_jobs=True do.",
    ),
    Action(
        "delete",
        "delete",
        "Delete",
        "job",
        "deleted",
        "delete",
        is_final=True,
        states=(*_WAITING, JobState.done),
        hint="Jobs and results are gone for good; what runs is left alone.",
    ),
    Action(
        "requeue",
        "requeue",
        "Requeue",
        "job",
        "requeued",
        "requeue",
        states=(JobState.dead,),
        hint="They run again with the same ids, and their tries begin anew.",
    ),
    Action(
        "requeue_once",
        "requeue",
        "Requeue for one try",
        "job",
        "requeued for one try",
        "requeue",
        states=(JobState.dead,),
        hint="They run again with the same ids, and get one more try.",
    ),
    Action(
        "delete_dead",
        "delete",
        "Delete",
        "job",
        "deleted",
        "delete dead",
        is_final=True,
        states=(JobState.dead,),
        hint="They are gone for good, with their arguments.",
    ),
    Action(
        "pause",
        "pause",
        "Pause",
        "queue",
        "paused",
        "pause",
        hint="No job is started any more. What runs goes on to its end, jobs may be enqueued, and none expires.",
    ),
    Action("resume", "pause", "Resume", "queue", "resumed", "resume"),
    Action("cron_run", "cron", "Run once now", "schedule", "enqueued", "run cron"),
    Action("cron_pause", "cron", "Pause", "schedule", "paused", "pause cron"),
    Action("cron_resume", "cron", "Resume", "schedule", "resumed", "resume cron"),
    Action(
        "worker_quiet",
        "workers",
        "Quiet",
        "worker",
        "told to take no more jobs",
        "quiet worker",
        hint="It ends what it runs and takes no more jobs, until it is told to.",
    ),
    Action("worker_resume", "workers", "Let work", "worker", "told to take jobs again", "resume worker"),
    Action(
        "worker_stop",
        "workers",
        "Stop",
        "worker",
        "told to stop",
        "stop worker",
        is_final=True,
        hint="As on SIGTERM. Under a supervisor another one is started in its place.",
    ),
)
ACTIONS = {action.name: action for action in _ALL}
#: Other names that programs may use.
ALSO = {"retry": "run_now", "quiet": "worker_quiet", "stop": "worker_stop"}
JOB_ACTIONS = [action for action in _ALL if action.of == "job"]

_OUTCOMES = {
    Deed.running: "runs, and was left alone",
    Deed.unknown: "is not there (any more)",
    Deed.changed: "is another one by now, and was left alone",
    Deed.queued: "is in the queue already",
}


def told(action: Action, deed: Deed) -> str:
    """What became of one."""
    if deed is Deed.done:
        return action.past
    if deed is Deed.asked:
        return "asked to end" if action.of == "job" else f"{action.past}: it hears within 20 s"
    if deed is Deed.over:
        return "over already" if action.of == "job" else "so already"
    return _OUTCOMES[deed]


def counted(action: Action, count: int, *, at_least: bool = False) -> str:
    """So many of them."""
    number = f"at least {count:,}" if at_least else f"{count:,}"
    return f"{number} {action.of}{'' if count == 1 else 's'}"
