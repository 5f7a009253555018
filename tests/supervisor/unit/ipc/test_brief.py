"""What a child finds in its environment is for user code to read, and for nothing of ours."""

import ast

from supervisor.ipc.brief import Brief, make_brief
from supervisor.options import Options
from supervisor.pool.events import Role
from tests.supervisor.unit.pool.play import order_for
from tests.support.source import modules

# who writes it; who finds by it what a worker has started, which has inherited it
ALLOWED = {"supervisor.ipc.brief", "supervisor.process.descendants"}


def a_brief(previous: str = "") -> Brief:
    order = order_for(Role.WORKER, first=True, previous=previous)
    return make_brief(Options("app.Settings"), order, "host", ("redis://here", "/tmp/x"))


def test_nobody_reads_what_is_exported() -> None:
    """Whoever did would take a worker that a job has started for the worker that runs the job."""
    exported: dict[str, str] = {}
    a_brief("before").export(exported)
    assert {"ARQ_WORKER_ID", "ARQ_PREVIOUS_WORKER_ID", "REDIS_DSN"} < exported.keys()
    readers = {
        (module.name, node.value)
        for module in modules("arq", "supervisor")
        if module.name not in ALLOWED
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and node.value in exported
    }
    assert readers == set()


def test_what_an_outer_pool_has_left_is_not_passed_on() -> None:
    environ = {
        "ARQ_PREVIOUS_WORKER_ID": "of another pool",
        "ARQ_WORKER_ID": "of another pool",
        "PATH": "/bin",
    }
    brief = a_brief()
    brief.export(environ)
    assert "ARQ_PREVIOUS_WORKER_ID" not in environ
    assert environ["ARQ_WORKER_ID"] == brief.worker_id
    assert environ["PATH"] == "/bin"
