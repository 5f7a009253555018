"""The text of the metrics, from a status of the pool. Needs the extra `metrics`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ..ipc.job_stats import BUCKETS_S, WAITED, JobRow
from ..ipc.redis_report import QueueReport
from ..metric_table import BY_SERVER, METRICS
from ..pool.status import PoolStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(eq=False, slots=True)
class Snapshot(Collector):
    """Everything that one scrape shows."""

    status: PoolStatus
    jobs: list[JobRow]
    queues: list[QueueReport] = field(default_factory=lambda: [QueueReport()])

    def text(self) -> bytes:
        """In Prometheus's format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client asks for."""
        families = {name: _family(name, several=len(self.queues) > 1) for name in METRICS}
        self._jobs(families)
        self._queue(families)
        self._workers(families)
        self._pool(families)
        yield from families.values()

    def _jobs(self, families: dict[str, Any]) -> None:
        pool = self.status.pool
        waiting = families["arq_job_waiting_seconds"]
        sums: dict[str, tuple[list[int], float]] = {}
        for function, outcome, count, seconds, buckets in self.jobs:
            if outcome == WAITED:
                waiting.add_metric([pool, function], _cumulative(buckets), seconds)
                continue
            families["arq_jobs_total"].add_metric([pool, function, outcome], count)
            known, spent = sums.get(function, ([0] * len(buckets), 0.0))
            sums[function] = ([own + more for own, more in zip(known, buckets, strict=True)], spent + seconds)
        for function, (buckets, seconds) in sums.items():
            families["arq_job_duration_seconds"].add_metric([pool, function], _cumulative(buckets), seconds)

    def _queue(self, families: dict[str, Any]) -> None:
        for facts in self.queues:
            server = [facts.server] if len(self.queues) > 1 else []
            families["arq_redis_up"].add_metric(server, float(facts.is_up))
            if facts.is_up:
                families["arq_queue_depth"].add_metric([facts.queue, *server], facts.depth)
                families["arq_queue_oldest_due_seconds"].add_metric(
                    [facts.queue, *server], facts.oldest_due_s
                )
        if not any(facts.is_up for facts in self.queues):
            # it is not known: no metric, rather than one without a value
            del families["arq_queue_depth"], families["arq_queue_oldest_due_seconds"]

    def _workers(self, families: dict[str, Any]) -> None:
        for slot in self.status.workers:
            key = [self.status.pool, str(slot.slot)]
            families["arq_worker_ready"].add_metric(key, float(slot.state == "ready"))
            if (worker := slot.worker) is None:
                continue
            for name, value in (
                ("arq_worker_jobs_ongoing", worker.jobs.ongoing),
                ("arq_worker_resident_memory_bytes", worker.rss_mb * 2**20),
                ("arq_worker_loop_lag_seconds", worker.lag_max_ms / 1000),
                ("arq_worker_uptime_seconds", worker.uptime_s),
                ("arq_worker_cpu_seconds_total", worker.cpu_s),
            ):
                families[name].add_metric(key, value)
            for outcome in ("complete", "failed", "retried"):
                families["arq_worker_jobs_total"].add_metric([*key, outcome], getattr(worker.jobs, outcome))

    def _pool(self, families: dict[str, Any]) -> None:
        boss, pool = self.status.supervisor, self.status.pool
        for name, value in (
            ("arq_pool_workers_expected", boss.procs),
            ("arq_pool_workers_ready", boss.ready),
            ("arq_pool_quiet", float(boss.quiet)),
            ("arq_pool_generation", boss.generation),
            ("arq_pool_uptime_seconds", boss.uptime_s),
        ):
            families[name].add_metric([pool], value)
        for cause, count in boss.exits.items():
            families["arq_pool_exits_total"].add_metric([pool, cause], count)


def _family(name: str, *, several: bool) -> Any:
    """The metric without values. `several`: there are several servers."""
    kind, text, labels = METRICS[name]
    labels = (*labels, "server") if several and name in BY_SERVER else labels
    base = name.removesuffix("_total")
    match kind:
        case "counter":
            return CounterMetricFamily(base, text, labels=labels)
        case "histogram":
            return HistogramMetricFamily(base, text, labels=labels)
        case _:
            return GaugeMetricFamily(base, text, labels=labels)


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    limits = [*(f"{limit:g}" if limit % 1 else f"{limit:.1f}" for limit in BUCKETS_S), "+Inf"]
    total, found = 0, []
    for limit, count in zip(limits, buckets, strict=True):
        total += count
        found.append((limit, float(total)))
    return found
