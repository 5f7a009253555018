"""Which metrics there are, with which labels; and which ones a text in PromQL asks for."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import promql_parser
from prometheus_client.parser import text_string_to_metric_families

from supervisor.children.metrics_text import Snapshot
from supervisor.ipc.job_stats import JobStats
from supervisor.ipc.redis_report import QueueReport
from supervisor.pool.status_from_state import take_status
from tests.supervisor.unit.pool.play import booted

# what Prometheus itself adds to each sample
SCRAPED = {"instance", "job"}


@cache
def existing() -> dict[str, set[str]]:
    """Name of each sample that a pool serves -> its labels."""
    play = booted()
    play.ends(play.of_slot(1), signal="SIGKILL")
    stats = JobStats()
    stats.note("pack", "complete", 0.1)
    status = take_status(play.machine.pool, play.now, 1, "host", {})
    text = Snapshot(status, stats.rows(), [QueueReport(True, "arq:queue", 3, 1.0)]).text().decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def asked(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Name of each metric in the expression, and the labels that it is selected by.

    Raises:
        ValueError: this is not PromQL.
    """
    yield from _asked(promql_parser.parse(expression))


def _asked(node: Any) -> Iterator[tuple[str, set[str]]]:
    if isinstance(node, promql_parser.VectorSelector):
        yield str(node.name), {matcher.name for matcher in node.matchers.matchers}
        return
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        if getattr(node, name, None) is not None:
            yield from _asked(getattr(node, name))
    for argument in getattr(node, "args", None) or ():
        yield from _asked(argument)


def complaints(expression: str) -> list[str]:
    """What is wrong with the metrics that the expression asks for."""
    found = list(asked(expression))
    if not found:
        return [f"asks for no metric: {expression}"]
    unknown = [f"no metric {name}" for name, _ in found if name not in existing()]
    return unknown + [
        f"{name} has no label {label}"
        for name, labels in found
        for label in labels - existing().get(name, labels) - SCRAPED
    ]
