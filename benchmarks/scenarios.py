"""What is measured. Each scenario runs one peer once and returns named numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.peers import Peer
from benchmarks.run import Numbers
from benchmarks.server import Server
from benchmarks.signs import (
    idle,
    idle_beside,
    killed_host,
    killed_process,
    killed_process_once,
    latency,
    mixed_pickup,
)
from benchmarks.work import depth, enqueue, held, noop, scaling, sleeping


@dataclass(frozen=True)
class Scenario:
    """A named measurement.

    Attributes:
        needs: the ability a peer must have.
        headline: the number that is compared.
        run: measures one peer once.
        group: scenarios of a group take turns, too: their ratios mean something.
        rounds: rounds at most; what is counted needs no more than two.
        others_rounds: the same for the peers that are far from the top.
        without: peers for which it says nothing new.
        together: it is mostly waiting: all peers at the same time, each on a server of its own.
        less_is_better: whether a smaller headline is the better one.
        processes: worker processes; where there are fewer cores, the numbers say little.
        only_by_name: no part of `--all`.
    """

    name: str
    needs: str
    headline: str
    run: Callable[[Peer, Server], Numbers]
    group: str
    rounds: int = 99
    others_rounds: int = 2
    without: tuple[str, ...] = ()
    together: bool = False
    less_is_better: bool = False
    processes: int = 1
    only_by_name: bool = False


_ONE = ("ours-supervised",)  # one process: supervised or not is the same worker
_MANY = ("ours", "ours-quiet")  # several: under the supervisor
_SAME = (*_ONE, "ours-quiet")  # the log does not matter
_TUNED = (*_ONE, "ours-quiet", "arq")  # the original as it comes is limited by its poll, not by this
_BY_ITSELF = ("ours", "ours-quiet", "arq-tuned")

#: How one server's one thread is shared by many workers.
SCALE = "scale"
_SCALING = (("noop", 30_000, 100), ("cpu1ms", 1000, 10), ("sleep10", 10_000, 100))
_SCALES = tuple(
    Scenario(
        f"{SCALE}-{function}-{processes}", SCALE, "jobs/s", scaling(function, limit_per_s, max_jobs, processes),
        f"{SCALE} {function}", processes=processes, only_by_name=True,
    )
    for function, limit_per_s, max_jobs in _SCALING
    for processes in (1, 2, 4, 8, 12, 15)
)  # fmt: skip

SCENARIOS = {
    one.name: one
    for one in (
        Scenario("noop100", "noop", "jobs/s", noop(100, 1), "no-op", without=_ONE),
        Scenario("noop100x2", "many", "jobs/s", noop(100, 2), "no-op", 3, 1, without=_MANY),
        Scenario("noop100x4", "many", "jobs/s", noop(100, 4), "no-op", 3, 1, without=_MANY),
        Scenario("noop10", "noop10", "jobs/s", noop(10, 1), "no-op, 10", without=_SAME),
        Scenario("noop10x2", "few", "jobs/s", noop(10, 2), "no-op, 10", 1, without=_MANY),
        Scenario("noop10x4", "few", "jobs/s", noop(10, 4), "no-op, 10", 1, without=_MANY),
        Scenario("sleep10", "sleep10", "jobs/s", sleeping(10_000, 100), "sleep", 2, 1, without=_SAME),
        Scenario("held0", "held", "jobs/s", held(0, 100), "held", without=_TUNED),
        Scenario("held500", "held", "jobs/s", held(500, 100), "held", without=_TUNED),
        Scenario("held2000", "held", "jobs/s", held(2000, 100), "held", without=_TUNED),
        Scenario("depth1k", "depth", "jobs/s", depth(1000), "depth", without=_TUNED),
        Scenario("depth10k", "depth", "jobs/s", depth(10_000), "depth", 2, without=_TUNED),
        Scenario("depth100k", "depth", "jobs/s", depth(100_000), "depth", 2, without=_TUNED),
        Scenario("depth1m", "depth", "jobs/s", depth(1_000_000), "depth", without=_TUNED),
        Scenario("enqueue-one", "enqueue", "jobs/s", enqueue("one"), "enqueue", without=_SAME),
        Scenario("enqueue-gather", "gather", "jobs/s", enqueue("gather"), "enqueue", without=_SAME),
        Scenario("enqueue-bulk", "bulk", "jobs/s", enqueue("bulk"), "enqueue", without=_SAME),
        Scenario(
            "pickup", "pickup", "ms median", latency("pickup", 14), "latency", 3, 1, without=_SAME, less_is_better=True
        ),
        Scenario(
            "roundtrip", "roundtrip", "ms median", latency("roundtrip", 12), "latency", 3, 1,
            without=(*_SAME, "arq-tuned"), less_is_better=True,
        ),
        Scenario(
            "lateness", "lateness", "ms median", latency("lateness", 20), "lateness", 1, without=_SAME,
            less_is_better=True,
        ),
        Scenario("idle", "noop", "commands/s", idle(0), "idle", 1, without=_SAME, less_is_better=True),
        Scenario(
            "idle600", "held", "commands/s", idle(600, seconds=10.0), "idle", 2, without=(*_SAME, "arq-tuned"),
            less_is_better=True,
        ),
        Scenario(
            "idle600-same", "held-by-ours", "commands/s", idle_beside(600), "idle", 1, without=_SAME,
            less_is_better=True,
        ),
        Scenario(
            "memory4", "many", "PSS MB", idle(0, 4, settle_s=4.0, seconds=1.0), "memory", 1,
            without=("ours-quiet", "arq-tuned"), less_is_better=True,
        ),
        Scenario("recovery", "supervised", "s", killed_process(5), "recovery", 2, less_is_better=True),
        Scenario("max-jobs-1", "tuning", "jobs/s", noop(1, 1), "tuning", 2),
        Scenario("max-jobs-100", "tuning", "jobs/s", noop(100, 1), "tuning", 2),
        Scenario("max-jobs-500", "tuning", "jobs/s", noop(500, 1), "tuning", 2),
        Scenario("max-jobs-1000", "tuning", "jobs/s", noop(1000, 1), "tuning", 2),
        Scenario("no-results", "tuning", "jobs/s", noop(100, 1, keep_result=0), "tuning", 2),
        Scenario("aborts", "tuning", "jobs/s", noop(100, 1, allow_abort_jobs=True), "tuning", 2),
        Scenario("json", "tuning", "jobs/s", noop(100, 1, serializer="json"), "tuning", 2),
        Scenario(
            "poll-delay-500ms", "tuning", "ms median", mixed_pickup(0.5, 20), "poll", 1, less_is_better=True
        ),
        Scenario(
            "poll-delay-50ms", "tuning", "ms median", mixed_pickup(0.05, 20), "poll", 1, less_is_better=True
        ),
        Scenario(
            "recovery-peers", "recovery", "s", killed_process_once, "death", 1, without=(*_BY_ITSELF, *_ONE),
            together=True, less_is_better=True,
        ),
        Scenario(
            "host-death", "recovery", "s", killed_host, "death", 1, without=_BY_ITSELF, together=True,
            less_is_better=True,
        ),
        *_SCALES,
    )
}  # fmt: skip
