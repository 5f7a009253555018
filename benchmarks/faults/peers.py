"""Who is compared: packages, command, settings, and what it offers at all."""

from __future__ import annotations

from dataclasses import dataclass

WORKERS = 2


@dataclass(frozen=True)
class Peer:
    """One contestant.

    `command` is started in the directory of the scene, its first word taken from the peer's own environment; `{port}`,
    `{dsn}` and `{dir}` in it are filled in. `reload` is the signal that loads new code ("" if there is none).
    `is_web`: jobs are requests, there is no broker. `has_name`: something is held that a second start collides with.
    `files` are patterns of the lock, pid file and socket that it keeps, in the directory of the scene.
    """

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    producer: str
    settings: str
    title: str = ""
    reload: str = "SIGHUP"
    is_web: bool = False
    has_name: bool = True
    files: tuple[str, ...] = ()
    environ: tuple[tuple[str, str], ...] = ()

    @property
    def heading(self) -> str:
        """For a table."""
        return self.title or self.name

    def words(self, **facts: object) -> list[str]:
        """The command with its blanks filled in."""
        return [word.format(**facts) for word in self.command]


OURS = "ours"  # its package is this tree, see environments.py

_GUNICORN = ("gunicorn", "web_app:app", "-w", "2", "-b", "127.0.0.1:{port}", "--timeout", "10",
             "--graceful-timeout", "10", "--pid", "{dir}/pid", "--control-socket", "{dir}/control")  # fmt: skip

_PEERS = (
    Peer(
        OURS,
        (),
        ("arq-supervise", "ours_app.Settings", "--procs", "2", "--graceful-timeout", "6", "--kill-timeout", "2",
         "--pidfile", "{dir}/pid"),
        "ours_app",
        "`job_timeout = 10`, `job_completion_wait = 5`, `--graceful-timeout 6 --kill-timeout 2`: a stop may take 10 s; "
        "`--pidfile FILE`",
        title="arq-supervise",
        files=("pid", "run/*"),
        environ=(("RUNTIME_DIRECTORY", "{dir}/run"),),
    ),
    Peer(
        "gunicorn",
        ("gunicorn==27.0.1", "uvloop"),
        (*_GUNICORN, "-k", "asgi"),
        "web_producer",
        "`-k asgi --timeout 10 --graceful-timeout 10 --pid FILE`, uvloop",
        is_web=True,
        files=("pid", "control"),
    ),
    Peer(
        "gunicorn-uvicorn",
        ("gunicorn==27.0.1", "uvicorn[standard]==0.54.0", "uvicorn-worker==0.4.0"),
        (*_GUNICORN, "-k", "uvicorn_worker.UvicornWorker"),
        "web_producer",
        "the same with `-k uvicorn_worker.UvicornWorker`",
        title="gunicorn + uvicorn",
        is_web=True,
        files=("pid", "control"),
    ),
    Peer(
        "uvicorn",
        ("uvicorn[standard]==0.54.0",),
        ("uvicorn", "web_app:app", "--workers", "2", "--port", "{port}", "--timeout-graceful-shutdown", "10"),
        "web_producer",
        "`--workers 2 --timeout-graceful-shutdown 10`; `--timeout-worker-healthcheck` as it comes (5 s)",
        is_web=True,
    ),
    Peer(
        "celery",
        ("celery[redis]==5.7.0",),
        ("celery", "-A", "celery_app", "worker", "--concurrency", "2", "--loglevel", "INFO", "-n", "faults@%h",
         "--pidfile", "{dir}/pid"),
        "celery_app",
        "prefork; `task_acks_late`, `task_reject_on_worker_lost`, `worker_prefetch_multiplier = 1`, "
        "`task_time_limit = 10`",
        files=("pid",),
    ),
    Peer(
        "dramatiq",
        ("dramatiq[redis]==2.2.1",),
        ("dramatiq", "dramatiq_app", "--processes", "2", "--threads", "8", "--pid-file", "{dir}/pid",
         "--worker-shutdown-timeout", "10000"),
        "dramatiq_app",
        "`--processes 2 --threads 8 --pid-file FILE --worker-shutdown-timeout 10000`, `time_limit = 10000`",
        files=("pid",),
    ),
    Peer(
        "taskiq",
        ("taskiq==0.13.0", "taskiq-redis==1.2.4", "uvloop"),
        ("taskiq", "worker", "taskiq_app:broker", "--workers", "2", "--wait-tasks-timeout", "10",
         "--shutdown-timeout", "10"),
        "taskiq_app",
        "`RedisStreamBroker`, uvloop, `--workers 2 --wait-tasks-timeout 10 --shutdown-timeout 10`, "
        "label `timeout = 10`",
        has_name=False,
    ),
    Peer(
        "rq",
        ("rq==3.0.0",),
        ("rq", "worker-pool", "default", "--num-workers", "2", "--url", "{dsn}", "--worker-class", "rq_worker.Noting"),
        "rq_producer",
        "`rq worker-pool --num-workers 2`, `job_timeout = 10`, `retry = Retry(max=3)`",
        title="rq worker-pool",
        reload="",
        has_name=False,
    ),
)  # fmt: skip

PEERS = {peer.name: peer for peer in _PEERS}
