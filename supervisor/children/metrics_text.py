"""The text of the metrics, from a status of the pool. Needs the extra `metrics`."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ..ipc.job_stats import BUCKETS_S, WAITED, JobRow
from ..ipc.redis_report import QueueReport
from ..pool.status import PoolStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(eq=False, slots=True)
class Snapshot(Collector):
    """Everything that one scrape shows."""

    status: PoolStatus
    jobs: list[JobRow]
    queue: QueueReport = field(default_factory=QueueReport)

    def text(self) -> bytes:
        """In Prometheus's format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client asks for."""
        yield from self._jobs()
        yield from self._queue()
        yield from self._workers()
        yield from self._pool()

    def _jobs(self) -> Iterator[Metric]:
        pool = self.status.pool
        total = CounterMetricFamily(
            "arq_jobs", "Starts of jobs that ended.", labels=["pool", "function", "outcome"]
        )
        duration = HistogramMetricFamily("arq_job_duration_seconds", "Run time.", labels=["pool", "function"])
        waiting = HistogramMetricFamily(
            "arq_job_waiting_seconds",
            "From when a job was due to its first start.",
            labels=["pool", "function"],
        )
        sums: dict[str, tuple[list[int], float]] = {}
        for function, outcome, count, seconds, buckets in self.jobs:
            if outcome == WAITED:
                waiting.add_metric([pool, function], _cumulative(buckets), seconds)
                continue
            total.add_metric([pool, function, outcome], count)
            known, spent = sums.get(function, ([0] * len(buckets), 0.0))
            sums[function] = ([own + more for own, more in zip(known, buckets, strict=True)], spent + seconds)
        for function, (buckets, seconds) in sums.items():
            duration.add_metric([pool, function], _cumulative(buckets), seconds)
        yield total
        yield duration
        yield waiting

    def _queue(self) -> Iterator[Metric]:
        facts = self.queue
        yield GaugeMetricFamily("arq_redis_up", "1 when the steward reaches Redis.", value=float(facts.is_up))
        if not facts.is_up:
            return
        labels = ["queue"]
        depth = GaugeMetricFamily(
            "arq_queue_depth", "Jobs in the queue, running and deferred included.", labels=labels
        )
        depth.add_metric([facts.queue], facts.depth)
        age = GaugeMetricFamily(
            "arq_queue_oldest_due_seconds", "Age of the oldest job that waits.", labels=labels
        )
        age.add_metric([facts.queue], facts.oldest_due_s)
        yield depth
        yield age

    def _workers(self) -> Iterator[Metric]:
        pool = self.status.pool
        labels = ["pool", "slot"]
        gauges = {
            "ready": GaugeMetricFamily("arq_worker_ready", "1 when the worker takes jobs.", labels=labels),
            "ongoing": GaugeMetricFamily("arq_worker_jobs_ongoing", "Jobs running now.", labels=labels),
            "rss": GaugeMetricFamily("arq_worker_resident_memory_bytes", "Resident memory.", labels=labels),
            "lag": GaugeMetricFamily(
                "arq_worker_loop_lag_seconds",
                "Longest lateness of the event loop in the last minute, one that lasts included.",
                labels=labels,
            ),
            "up": GaugeMetricFamily("arq_worker_uptime_seconds", "Age of the process.", labels=labels),
        }
        cpu = CounterMetricFamily("arq_worker_cpu_seconds", "Processor time of the process.", labels=labels)
        jobs = CounterMetricFamily("arq_worker_jobs", "Jobs of the process.", labels=[*labels, "outcome"])
        for slot in self.status.workers:
            key = [pool, str(slot.slot)]
            gauges["ready"].add_metric(key, float(slot.state == "ready"))
            if (worker := slot.worker) is None:
                continue
            gauges["ongoing"].add_metric(key, worker.jobs.ongoing)
            gauges["rss"].add_metric(key, worker.rss_mb * 2**20)
            gauges["lag"].add_metric(key, worker.lag_max_ms / 1000)
            gauges["up"].add_metric(key, worker.uptime_s)
            cpu.add_metric(key, worker.cpu_s)
            for outcome in ("complete", "failed", "retried"):
                jobs.add_metric([*key, outcome], getattr(worker.jobs, outcome))
        yield from gauges.values()
        yield cpu
        yield jobs

    def _pool(self) -> Iterator[Metric]:
        boss, pool = self.status.supervisor, self.status.pool
        for name, text, value in (
            ("arq_pool_workers_expected", "Workers there should be.", boss.procs),
            ("arq_pool_workers_ready", "Workers that take jobs.", boss.ready),
            ("arq_pool_quiet", "1 when the pool takes no new jobs.", float(boss.quiet)),
            ("arq_pool_generation", "Reloads so far, plus one.", boss.generation),
            ("arq_pool_uptime_seconds", "Age of the supervisor.", boss.uptime_s),
        ):
            gauge = GaugeMetricFamily(name, text, labels=["pool"])
            gauge.add_metric([pool], value)
            yield gauge
        exits = CounterMetricFamily(
            "arq_pool_exits", "Processes that ended, by cause.", labels=["pool", "cause"]
        )
        for cause, count in boss.exits.items():
            exits.add_metric([pool, cause], count)
        yield exits


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    limits = [*(f"{limit:g}" if limit % 1 else f"{limit:.1f}" for limit in BUCKETS_S), "+Inf"]
    total, found = 0, []
    for limit, count in zip(limits, buckets, strict=True):
        total += count
        found.append((limit, float(total)))
    return found
