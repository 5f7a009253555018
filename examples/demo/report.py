"""What the demonstration tells at its end: facts in, lines out."""

import os
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from arq.jobs import JobResult
from examples.demo.plan import is_meant_to_fail
from examples.demo.terminal import filled, row

BAR_WIDTH = 34
CRON_JOB = "cron:look_around"


@dataclass(frozen=True)
class Killed:
    """The process that was killed on the way. Times are unix seconds."""

    slot: int
    pid: int
    at_s: float
    released: int


@dataclass(frozen=True)
class Facts:
    """All that the report is made of."""

    results: list[JobResult]
    expected: int
    killed: Killed | None = None

    def of(self, function: str) -> list[JobResult]:
        return [result for result in self.results if result.function == function]

    @property
    def drained_s(self) -> float:
        """When the last file was done."""
        return max(one.finish_time.timestamp() for one in self.of("digest_file"))

    @property
    def took_s(self) -> float:
        """From the first file's start to the last file's end."""
        return self.drained_s - min(one.start_time.timestamp() for one in self.of("digest_file"))

    @property
    def failed(self) -> list[JobResult]:
        """Those that should not have."""
        return [one for one in self.results if not one.success and not is_meant_to_fail(one)]

    @property
    def run_again(self) -> list[JobResult]:
        """Jobs that never ask for a retry and yet needed a second run."""
        return [one for one in self.results if tries(one) > 1 and one.function != "fetch_mirror"]


def bar(count: int, most: int, mark: str) -> str:
    """A bar of `count`, where `most` is the longest of its neighbours."""
    return mark * max(1, round(BAR_WIDTH * count / most)) if count else ""


def report(facts: Facts, mark: str = "█") -> Iterator[str]:
    yield from totals(facts)
    yield ""
    yield from processes(facts, mark)
    yield ""
    yield from slowest(facts.of("digest_file"))
    yield from retried(facts.of("fetch_mirror"))
    yield from deferred(facts.of("remind"), facts.drained_s)
    yield from clockwork(facts.of(CRON_JOB))
    if facts.killed:
        yield from recovered(facts, facts.killed)


def totals(facts: Facts) -> Iterator[str]:
    files = [result.result for result in facts.of("digest_file") if result.success]
    size, packed = sum(one["bytes"] for one in files), sum(one["compressed"] for one in files)
    yield from filled(
        f"{len(files):,} files with {sum(one['lines'] for one in files):,} lines, {size / 1e6:.1f} MB, "
        f"hashed and compressed to {packed / 1e6:.1f} MB"
    )
    yield f"in {facts.took_s:.1f} s: {len(files) / max(facts.took_s, 0.001):,.0f} files a second"


def processes(facts: Facts, mark: str) -> Iterator[str]:
    """One bar for each process, in the order of the slots."""
    counts = Counter((one.result["slot"], one.result["pid"]) for one in facts.results if one.success)
    order = sorted(counts, key=lambda process: (process[0], first_start(facts, process[1])))
    previous = None
    for slot, pid in order:
        count = counts[slot, pid]
        label = f"worker {slot}" if slot != previous else "replaced"
        note = "   killed" if facts.killed and pid == facts.killed.pid else ""
        length = bar(count, max(counts.values()), mark)
        yield f"  {label:<9} pid {pid:<7} {length} {count:,} jobs{note}"
        previous = slot


def first_start(facts: Facts, pid: int) -> float:
    return min(
        one.start_time.timestamp() for one in facts.results if one.success and one.result["pid"] == pid
    )


def slowest(files: list[JobResult]) -> Iterator[str]:
    for number, one in enumerate(sorted(files, key=duration_s, reverse=True)[:3]):
        name = os.sep.join(str(one.args[0]).split(os.sep)[-2:])
        label = "slowest" if not number else ""
        yield from row(
            label, f"{duration_s(one) * 1000:4.0f} ms  {name} ({one.result['bytes'] / 1000:,.0f} kB)"
        )


def retried(jobs: list[JobResult]) -> Iterator[str]:
    gone = [one for one in jobs if is_meant_to_fail(one)]
    jobs = [one for one in jobs if not is_meant_to_fail(one)]
    retries = sum(tries(one) - 1 for one in jobs)
    well = sum(one.success for one in jobs)
    text = f"{len(jobs)} jobs that fail at first, {retries} retries with back-off, {well} succeeded"
    yield from row("retried", text)
    if gone:
        text = f"{len(gone)} jobs for mirrors that are gone, as they should: they are in the dead set"
        yield from row("failed", text)


def deferred(jobs: list[JobResult], drained_s: float) -> Iterator[str]:
    """A job that becomes due behind a full queue has its turn after those that were due before it."""
    starts = [(one.args[0], one.start_time.timestamp()) for one in jobs]
    late_ms = [max(0.0, start_s - due_s) * 1000 for due_s, start_s in starts if due_s > drained_s]
    queued = len(jobs) - len(late_ms)
    yield from row(
        "deferred", f"{len(jobs)} jobs for a given time, {queued} of them while files were waiting;"
    )
    if late_ms:
        median_ms = statistics.median(late_ms)
        yield from row(
            "", f"the others started {median_ms:.0f} ms late (median), {max(late_ms):.0f} ms at worst"
        )


def clockwork(jobs: list[JobResult]) -> Iterator[str]:
    slots = sorted({one.result["slot"] for one in jobs if one.success})
    often = "once" if all(tries(one) == 1 for one in jobs) else "again where its worker was killed"
    text = f"{len(jobs)} ticks of a clock that all workers watch, each run {often}"
    yield from row("cron", f"{text} (by worker {', '.join(map(str, slots))})")


def recovered(facts: Facts, killed: Killed) -> Iterator[str]:
    again = facts.run_again
    held = f"{killed.released} jobs" if killed.released else "no job"
    yield from row(
        "killed", f"worker {killed.slot} with SIGKILL while it had {held} in hand{';' if again else ''}"
    )
    if again:
        delay_s = max(one.start_time.timestamp() for one in again) - killed.at_s
        lost = facts.expected - sum(one.function != CRON_JOB for one in facts.results)
        text = f"{len(again)} were started again, the last {delay_s:.2f} s after the kill"
        yield from row("", f"{text}; {lost or 'none'} lost")


def tries(job: JobResult) -> int:
    return job.job_try or 1


def duration_s(job: JobResult) -> float:
    return (job.finish_time - job.start_time).total_seconds()
