"""What other packages do to arq, in a few lines each: those packages must go on working.

Tests are named after the package whose habits they imitate; the code is ours.
"""

import asyncio
import dataclasses
import importlib
import inspect
import pickle
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

import arq
import arq.worker
from arq import ArqRedis, Retry, Worker, create_pool, cron, func
from arq.connections import RedisSettings
from arq.constants import default_queue_name
from arq.cron import CronJob
from arq.jobs import Job, JobDef, JobResult, JobStatus
from tests.conftest import WorkerFactory
from tests.support.eventually import PATIENCE_S, wait_until_async

Ctx = dict[Any, Any]


async def double(ctx: Ctx, number: int) -> int:
    """Return twice the number."""
    return number * 2


async def shaky(ctx: Ctx) -> str:
    """Retry once."""
    if ctx["job_try"] == 1:
        raise Retry
    return "done"


async def broken(ctx: Ctx) -> None:
    """Fail."""
    raise ValueError("broken")


# --- sentry_sdk ---


class TestSentry:
    """Replaces methods of classes and `arq.worker.create_worker`, and wraps the coroutines of the settings."""

    def test_enqueue_job_is_a_plain_coroutine_function_of_arqredis(self) -> None:
        enqueue_job = vars(ArqRedis)["enqueue_job"]
        assert inspect.iscoroutinefunction(enqueue_job)
        assert set(enqueue_job.__kwdefaults__) >= {
            "_job_id",
            "_queue_name",
            "_defer_until",
            "_defer_by",
            "_expires",
        }

    async def test_enqueue_job_replaced_on_the_class(
        self, arq_redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original, seen = ArqRedis.enqueue_job, []

        async def traced(self: ArqRedis, function: str, *args: Any, **kwargs: Any) -> Job | None:
            seen.append(function)
            return await original(self, function, *args, **kwargs)

        traced.__kwdefaults__ = original.__kwdefaults__
        monkeypatch.setattr(ArqRedis, "enqueue_job", traced)
        job = await arq_redis.enqueue_job("double", 4, _job_id="traced")
        assert job is not None
        assert seen == ["double"]

    async def test_run_job_replaced_on_the_class(
        self, arq_redis: ArqRedis, worker: WorkerFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is called as `self.run_job(job_id, score)`, one task a job, with the user's code inside."""
        original: Any = Worker.run_job
        spans: dict[str, tuple[Any, ...]] = {}

        async def traced(self: Worker, job_id: str, score: int) -> None:
            spans[job_id] = (type(job_id), type(score), asyncio.current_task())
            await original(self, job_id, score)

        async def who(ctx: Ctx) -> None:
            tasks[ctx["job_id"]] = asyncio.current_task()

        tasks: dict[str, Any] = {}
        monkeypatch.setattr(Worker, "run_job", traced)
        for number in range(3):
            await arq_redis.enqueue_job("who", _job_id=f"job{number}")
        assert await worker([func(who, name="who")]).run_check() == 3
        assert set(spans) == {"job0", "job1", "job2"}
        assert all(span[:2] == (str, int) for span in spans.values())
        assert len({id(span[2]) for span in spans.values()}) == 3

    def test_create_worker_replaced_as_module_attribute(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`run_worker` looks it up when it is called, and passes the settings on."""
        calls: list[tuple[Any, ...]] = []

        class Settings:
            functions: ClassVar[list[Any]] = [double]

        class StopError(Exception):
            pass

        def patched(*args: Any, **kwargs: Any) -> Worker:
            calls.append((args, kwargs))
            raise StopError

        monkeypatch.setattr(arq.worker, "create_worker", patched)
        with pytest.raises(StopError):
            arq.worker.run_worker(Settings, burst=True)  # type: ignore[arg-type]
        args, kwargs = calls[0]
        assert (args[0] if args else kwargs["settings_cls"]) is Settings
        assert kwargs["burst"] is True

    @pytest.mark.parametrize("as_dict", [False, True])
    async def test_settings_changed_before_the_original_create_worker(
        self, arq_redis: ArqRedis, redis_settings: RedisSettings, as_dict: bool
    ) -> None:
        """It puts `func()` objects with another coroutine into the settings, and marks cron jobs."""
        wrapped = []

        async def instrumented(ctx: Ctx, *args: Any, **kwargs: Any) -> Any:
            wrapped.append(ctx["job_id"])
            return await double(ctx, *args, **kwargs)

        class Settings:
            functions: ClassVar[list[Any]] = [double]
            cron_jobs: ClassVar[list[Any]] = [cron(double, hour=3)]

        Settings.redis_settings = redis_settings  # type: ignore[attr-defined]
        Settings.functions = [arq.worker.func(one) for one in Settings.functions]
        Settings.functions[0].coroutine = instrumented
        Settings.cron_jobs[0]._sentry_monitored = True
        Settings.cron_jobs[0].coroutine = instrumented
        settings: Any = Settings
        if as_dict:
            settings = {"functions": Settings.functions, "cron_jobs": [], "redis_settings": redis_settings}
        await arq_redis.enqueue_job("double", 1, _job_id="one")
        made = arq.worker.create_worker(settings, burst=True, poll_delay=0, handle_signals=False)
        assert await made.run_check(max_burst_jobs=1) == 1
        await made.close()
        assert wrapped == ["one"]

    def test_func_is_idempotent(self) -> None:
        function = func(double, name="other")
        assert func(function) is function
        function.name = "renamed"
        assert function.name == "renamed"

    def test_cron_job_has_the_fields_it_reads(self) -> None:
        job = cron(double, month=1, day=2, weekday="mon", hour=3, minute=4, second=5, microsecond=6)
        fields = ("name", "month", "day", "weekday", "hour", "minute", "second", "microsecond")
        assert [getattr(job, field) for field in fields] == ["cron:double", 1, 2, "mon", 3, 4, 5, 6]

    async def test_control_flow_exceptions_are_exactly_those_types(
        self, arq_redis: ArqRedis, worker: WorkerFactory
    ) -> None:
        await arq_redis.enqueue_job("missing", _job_id="missing")
        await worker([double]).main()
        result = await Job("missing", arq_redis).result_info()
        assert result is not None
        assert type(result.result) is arq.worker.JobExecutionFailed

    async def test_worker_has_what_it_reads(self, worker: WorkerFactory) -> None:
        one = worker([double], cron_jobs=[cron(double, hour=3)])
        assert [job.name for job in one.cron_jobs or ()] == ["cron:double"]
        assert one.queue_name == "arq:queue"
        assert datetime.now(one.timezone).tzinfo is not None


# --- opentelemetry ---


@contextmanager
def wrapped_attribute(cls: type, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    """As wrapt's AttributeWrapper: a data descriptor that reads and writes the instance's `__dict__`."""

    class Descriptor:
        def __get__(self, instance: Any, owner: Any) -> Any:
            return self if instance is None else wrap(instance.__dict__[name])

        def __set__(self, instance: Any, value: Any) -> None:
            instance.__dict__[name] = value

    before = cls.__dict__.get(name, None)
    setattr(cls, name, Descriptor())
    try:
        yield
    finally:
        if before is None:
            delattr(cls, name)
        else:
            setattr(cls, name, before)


class TestOpenTelemetry:
    """Wraps `Function.coroutine` and `CronJob.coroutine`, and sends `_carrier` along."""

    async def test_coroutine_is_read_at_each_run(self, arq_redis: ArqRedis, worker: WorkerFactory) -> None:
        carriers: list[Any] = []

        def wrap(coroutine: Any) -> Any:
            async def traced(ctx: Ctx, *args: Any, **kwargs: Any) -> Any:
                carriers.append(
                    (coroutine.__name__, kwargs.pop("_carrier", None), ctx["job_try"], ctx["score"])
                )
                return await coroutine(ctx, *args, **kwargs)

            return traced

        running = worker([double])
        await arq_redis.enqueue_job("double", 2, _carrier={"traceparent": "00-1"})
        with wrapped_attribute(arq.worker.Function, "coroutine", wrap):
            assert await running.run_check() == 1
        ((name, carrier, job_try, score),) = carriers
        assert (name, carrier, job_try) == ("double", {"traceparent": "00-1"}, 1)
        assert abs(score - time.time() * 1000) < 60_000

    async def test_cron_coroutine_is_read_at_each_run(
        self, arq_redis: ArqRedis, worker: WorkerFactory
    ) -> None:
        names: list[str] = []

        async def tick(ctx: Ctx) -> None:
            """Nothing to do."""

        def wrap(coroutine: Any) -> Any:
            async def traced(ctx: Ctx) -> Any:
                names.append(coroutine.__name__)
                return await coroutine(ctx)

            return traced

        running = worker([double], cron_jobs=[cron(tick, hour=3, run_at_startup=True)])
        with wrapped_attribute(CronJob, "coroutine", wrap):
            await running.run_check(max_burst_jobs=1)
        assert names == ["tick"]

    def test_instances_keep_their_attributes_in_a_dict(self) -> None:
        assert vars(func(double))["coroutine"] is double
        assert vars(cron(double, hour=3))["coroutine"] is double

    async def test_unknown_underscore_arguments_travel(self, arq_redis: ArqRedis) -> None:
        job = await arq_redis.enqueue_job("double", 2, _carrier={"a": "b"})
        assert job is not None
        assert job._queue_name == "arq:queue"
        info = await job.info()
        assert info is not None
        assert info.kwargs == {"_carrier": {"a": "b"}}

    def test_version_is_below_one_and_dotted_integers(self) -> None:
        """Its requirement is `arq<1.0.0`; arq-django-admin turns each part into an int."""
        assert [int(part) for part in arq.VERSION.split(".")] < [1, 0, 0]
        assert arq.__version__ == arq.VERSION


# --- exporters and dashboards ---


async def test_arq_prometheus_reads_the_health_line(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """From within the worker process, by ctx['redis'] and one regular expression."""
    seen: list[Any] = []

    async def export(ctx: Ctx) -> None:
        key = default_queue_name + ":health-check"
        line = (await ctx["redis"].get(key)).decode()
        pattern = r"j_complete=(\d+).j_failed=(\d+).j_retried=(\d+).j_ongoing=(\d+).queued=(\d+)"
        found = re.search(pattern, line)
        seen.append(found and [int(group) for group in found.groups()])

    await arq_redis.enqueue_job("export")
    await worker([func(export, name="export")]).run_check()
    assert seen
    assert seen[0][:3] == [0, 0, 0]


async def test_arq_dashboard_lists_jobs(
    arq_redis: ArqRedis, redis_settings: RedisSettings, worker: WorkerFactory
) -> None:
    """It scans results and the queue, and builds Job objects by keyword."""
    await arq_redis.enqueue_job("double", 1, _job_id="done")
    await worker([double]).run_check()
    await arq_redis.enqueue_job("double", 2, _job_id="waiting")
    await arq_redis.enqueue_job("double", 3, _job_id="later", _defer_by=100)
    pool: Any = await create_pool(settings_=redis_settings)
    _cursor, keys = await pool.scan(match="arq:result:*", count=10_000)
    ids = [key.decode().removeprefix("arq:result:") for key in keys]
    ids += [member.decode() for member in await pool.zrangebyscore("arq:queue", "-inf", "inf")]
    found = {}
    for job_id in ids:
        job = Job(job_id=job_id, redis=pool, _queue_name="arq:queue", _deserializer=pickle.loads)
        found[job_id] = (await job.status(), isinstance(await job.info(), JobResult))
    await pool.aclose(close_connection_pool=True)
    assert found == {
        "done": (JobStatus.complete, True),
        "waiting": (JobStatus.queued, False),
        "later": (JobStatus.deferred, False),
    }
    assert (redis_settings.host, redis_settings.port, redis_settings.database) == (
        "127.0.0.1",
        redis_settings.port,
        0,
    )


@dataclasses.dataclass
class JobInfo(JobDef):
    """arq-django-admin's extension of JobDef."""

    job_id: str
    result: Any | None = None
    success: bool | None = None
    status: JobStatus = JobStatus.queued


def test_arq_django_admin_extends_job_def() -> None:
    when = datetime.now(UTC)
    info = JobInfo("double", (1,), {}, None, when, 12, "an id")
    assert (info.function, info.enqueue_time, info.score, info.job_id) == ("double", when, 12, "an id")
    info.status = JobStatus.complete
    names = ["function", "args", "kwargs", "job_try", "enqueue_time", "score", "job_id"]
    assert [field.name for field in dataclasses.fields(JobDef)][:7] == names
    theirs = [*names, "success", "result", "start_time", "finish_time", "queue_name"]
    assert [field.name for field in dataclasses.fields(JobResult)][:12] == theirs


async def test_arq_django_admin_finds_only_jobs_under_its_patterns(arq_redis: ArqRedis) -> None:
    """It reads `arq:*:*` and takes job, in-progress and result for prefixes of job ids, at any time."""
    keys: list[str] = []

    async def look(ctx: Ctx) -> None:
        keys.extend(key.decode() for key in await ctx["redis"].keys("arq:*:*"))

    await arq_redis.enqueue_job("look", _job_id="the-id")
    one = Worker([func(look, name="look")], redis_pool=arq_redis, burst=True, handle_signals=False)
    await one.main()
    matches = [re.fullmatch(r"arq\:(?P<prefix>.+?)\:(?P<job_id>.+)", key) for key in keys]
    by_prefix = {(found["prefix"], found["job_id"]) for found in matches if found}
    ids = {job_id for prefix, job_id in by_prefix if prefix in ("job", "in-progress", "result")}
    assert ids == {"the-id"}
    pipe = arq_redis.pipeline()
    pipe.zrange("arq:queue", start=0, end=-1, withscores=True)
    assert await pipe.execute() == [[]]


async def test_worq_dashboard_enqueues_by_hand(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """SET and ZADD without a word to anybody; deletes the same way, leaving entries without a payload."""
    payload: dict[str, Any] = {"t": None, "f": "double", "a": (21,), "k": {}, "et": int(time.time() * 1000)}
    await arq_redis.set("arq:job:by-hand", pickle.dumps(payload))
    await arq_redis.zadd("arq:queue", {"by-hand": int(time.time() * 1000)})
    await arq_redis.zadd("arq:queue", {"vanished": 1000})
    one = worker([double])
    await one.main()
    assert (one.jobs_complete, one.jobs_failed) == (1, 1)
    assert await Job("by-hand", arq_redis).result() == 42


async def test_a_job_put_in_by_hand_is_found_by_an_idle_worker(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    """No wake-up token comes with it: poll_delay is the longest it waits."""
    one = worker([double], burst=False, poll_delay=0.1)
    task = asyncio.create_task(one.async_run())
    await wait_until_async(lambda: arq_redis.exists("arq:queue:health-check"), what="worker polls")
    payload: dict[str, Any] = {"t": None, "f": "double", "a": (1,), "k": {}, "et": int(time.time() * 1000)}
    await arq_redis.set("arq:job:by-hand", pickle.dumps(payload), px=60_000)
    await arq_redis.zadd("arq:queue", {"by-hand": int(time.time() * 1000)})
    await wait_until_async(lambda: one.jobs_complete == 1, what="ran")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# --- dependency injection and settings ---


async def test_dishka_sets_hooks_on_a_live_worker(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """Hooks are read when a job runs, and share one ctx of that job."""
    order: list[Any] = []

    async def start(ctx: Ctx) -> None:
        ctx["scope"] = object()
        order.append(("start", ctx["container"], ctx["job_id"]))

    async def end(ctx: Ctx) -> None:
        order.append(("end", ctx["scope"]))

    async def uses(ctx: Ctx) -> None:
        order.append(("job", ctx["scope"]))

    one = worker([func(uses, name="uses")])
    one.ctx["container"] = "container"
    one.on_job_start = start
    one.on_job_end = end
    await arq_redis.enqueue_job("uses", _job_id="a")
    await one.run_check()
    assert order[0] == ("start", "container", "a")
    assert order[1] == ("job", order[2][1])
    assert "scope" not in one.ctx


async def test_z4j_stores_static_methods(arq_redis: ArqRedis, redis_settings: RedisSettings) -> None:
    """Hooks in the class are `staticmethod` objects when read from its `__dict__`."""
    called: list[str] = []

    def hook(name: str) -> Any:
        async def note(ctx: Ctx) -> None:
            stored = await ctx["redis"].exists("arq:result:one")
            called.append(f"{name} stored={stored}")

        return staticmethod(note)

    class Settings:
        functions: ClassVar[list[Any]] = [double]
        on_startup = hook("startup")
        on_shutdown = hook("shutdown")
        on_job_start = hook("start")
        on_job_end = hook("end")
        after_job_end = hook("after")
        ctx: ClassVar[dict[Any, Any]] = {"mine": 1}

    Settings.redis_settings = redis_settings  # type: ignore[attr-defined]
    await arq_redis.enqueue_job("double", 1, _job_id="one")
    one = arq.worker.create_worker(Settings, burst=True, handle_signals=False)  # type: ignore[arg-type]
    await one.main()
    await one.close()
    expected = ["startup stored=0", "start stored=0", "end stored=0", "after stored=1", "shutdown stored=1"]
    assert called == expected


async def test_z4j_reads_the_job_from_ctx(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    seen: dict[Any, Any] = {}

    async def read(ctx: Ctx) -> None:
        seen.update(ctx)

    await arq_redis.enqueue_job("read", _job_id="one")
    await worker([func(read, name="read")]).run_check()
    assert (seen["job_id"], seen["job_try"], type(seen["score"])) == ("one", 1, int)
    assert datetime.now(UTC) - seen["enqueue_time"] < timedelta(minutes=1)
    assert isinstance(seen["redis"], ArqRedis)


class RegistryRedis(ArqRedis):
    """fastapi-arq's subclass."""

    def __init__(self, *args: Any, registry: Any = None, **kwargs: Any) -> None:
        self.registry = registry
        super().__init__(*args, **kwargs)

    async def enqueue_job(self, function: str, *args: Any, **kwargs: Any) -> Job | None:
        """Note the name first."""
        self.registry.append(function)
        return await super().enqueue_job(function, *args, **kwargs)


async def test_fastapi_arq_subclasses_the_pool_and_runs_main_as_a_task(redis_settings: RedisSettings) -> None:
    registry: list[str] = []
    pool = RegistryRedis(registry=registry, host=redis_settings.host, port=redis_settings.port, db=0)
    one = Worker(functions=[double], redis_pool=pool, handle_signals=False, poll_delay=0.05)
    task = asyncio.create_task(one.main())
    job = await pool.enqueue_job("double", 4)
    assert job is not None
    assert await job.result(timeout=30, poll_delay=0.01) == 8
    assert registry == ["double"]
    await one.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_pool_around_somebody_elses_connection_pool(arq_redis: ArqRedis) -> None:
    other = ArqRedis(pool_or_conn=arq_redis.connection_pool, default_queue_name="other")
    job = await other.enqueue_job("double", 1)
    assert job is not None
    assert job._queue_name == "other"
    assert [queued.function for queued in await other.queued_jobs(queue_name="other")] == ["double"]


# --- running workers oneself ---


async def test_tai42_drains_by_calling_the_signal_handlers(arq_redis: ArqRedis) -> None:
    """`handle_sig_wait_for_completion` from code: the running job ends, then `async_run` ends cancelled."""
    started = asyncio.Event()

    async def slow(ctx: Ctx) -> str:
        started.set()
        await asyncio.sleep(0.3)
        return "finished"

    one = Worker(
        [func(slow, name="slow")],
        redis_pool=arq_redis,
        handle_signals=False,
        allow_abort_jobs=True,
        job_completion_wait=60,
        poll_delay=0.05,
    )
    job = await arq_redis.enqueue_job("slow")
    assert job is not None
    task = asyncio.create_task(one.async_run())
    await asyncio.wait_for(started.wait(), PATIENCE_S)
    one.handle_sig_wait_for_completion(signal.SIGTERM)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, PATIENCE_S)
    assert await job.result(timeout=30) == "finished"
    assert one.jobs_complete == 1
    await one.close()


async def test_tai42_cancels_by_calling_the_signal_handler(arq_redis: ArqRedis) -> None:
    """And closes at once: the original's `close` then ends with a CancelledError."""
    started = asyncio.Event()

    async def slow(ctx: Ctx) -> None:
        started.set()
        await asyncio.sleep(60)

    one = Worker([func(slow, name="slow")], redis_pool=arq_redis, handle_signals=False, poll_delay=0.05)
    await arq_redis.enqueue_job("slow", _job_id="slow")
    task = asyncio.create_task(one.async_run())
    await asyncio.wait_for(started.wait(), PATIENCE_S)
    assert [key async for key in arq_redis.scan_iter("arq:in-progress:*")] == [b"arq:in-progress:slow"]
    one.handle_sig(signal.SIGTERM)
    await asyncio.gather(task, return_exceptions=True)
    await one.close()
    assert one.jobs_retried == 1


async def test_saq_benchmark_sets_the_loop_and_awaits_main(arq_redis: ArqRedis) -> None:
    one = Worker([double], redis_pool=arq_redis, burst=True, poll_delay=0, handle_signals=False)
    one.loop = asyncio.get_event_loop()
    await arq_redis.enqueue_job("double", 1)
    await one.main()
    assert one.jobs_complete == 1


async def test_subclass_that_overrides_the_steps(arq_redis: ArqRedis) -> None:
    """`start_jobs`, `run_job` and `heart_beat` are what people override; each must be called on self."""
    called: set[str] = set()

    class Mine(Worker):
        async def start_jobs(self, job_ids: list[bytes]) -> None:
            called.add("start_jobs")
            await super().start_jobs(job_ids)

        async def run_job(self, job_id: str, score: int) -> None:
            called.add("run_job")
            await super().run_job(job_id, score)

        async def heart_beat(self) -> None:
            called.add("heart_beat")
            await super().heart_beat()

    await arq_redis.enqueue_job("double", 1)
    one = Mine([double], redis_pool=arq_redis, burst=True, poll_delay=0, handle_signals=False)
    await one.main()
    assert one.jobs_complete == 1
    assert {"run_job", "heart_beat"} <= called


async def test_main_runs_again_and_counters_go_on(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    one = worker([double, shaky])
    for expected in (1, 2, 3):
        await arq_redis.enqueue_job("double", 1)
        await one.main()
        assert one.jobs_complete == expected
    await arq_redis.enqueue_job("shaky")
    await one.main()
    assert (one.jobs_complete, one.jobs_retried) == (4, 1)


async def test_arq_http_reads_queue_and_results(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    for number in range(3):
        await arq_redis.enqueue_job("double", number, _job_id=f"job{number}")
    queued = await arq_redis.queued_jobs(queue_name="arq:queue")
    assert sorted(str(job.job_id) for job in queued) == ["job0", "job1", "job2"]
    await worker([double]).run_check()
    results = await arq_redis.all_job_results()
    assert [(result.job_id, result.result, result.queue_name) for result in results] == [
        (f"job{number}", number * 2, "arq:queue") for number in range(3)
    ]


def test_worker_can_be_introspected() -> None:
    """`inspect.signature(Worker)` is the schema of the settings for several packages."""
    kinds = {one.kind for one in inspect.signature(Worker).parameters.values()}
    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


async def test_run_check_raises_failed_jobs(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    await arq_redis.enqueue_job("broken")
    with pytest.raises(arq.worker.FailedJobs, match="1 job failed ValueError"):
        await worker([broken]).run_check()


NAMES_SEEN_IN_THE_WILD = """
arq: ArqRedis create_pool cron VERSION __version__ Retry Worker check_health func run_worker
arq.connections: ArqRedis RedisSettings create_pool log_redis_info
arq.constants: default_queue_name job_key_prefix in_progress_key_prefix result_key_prefix retry_key_prefix
arq.constants: abort_jobs_ss abort_job_max_age health_check_key_suffix keep_cronjob_progress
arq.constants: expires_extra_ms timezone_env_vars
arq.jobs: Job JobDef JobResult JobStatus Deserializer Serializer SerializationError DeserializationError
arq.jobs: ResultNotFound serialize_job serialize_result deserialize_job deserialize_job_raw deserialize_result
arq.worker: Worker Function func Retry RetryJob JobExecutionFailed FailedJobs create_worker run_worker
arq.worker: check_health async_check_health get_kwargs
arq.cron: cron CronJob next_cron
arq.typing: WEEKDAYS SecondsTimedelta StartupShutdown WorkerCoroutine WorkerSettingsBase WorkerSettingsType
arq.typing: OptionType WeekdayOptionType
arq.utils: timestamp_ms to_unix_ms to_seconds to_ms ms_to_datetime import_string poll truncate args_to_string
arq.version: VERSION
arq.worker: timestamp_ms poll to_ms in_progress_key_prefix CronJob serialize_result log_redis_info keep_cronjob_progress
arq.jobs: job_key_prefix result_key_prefix in_progress_key_prefix timestamp_ms poll
arq.connections: BaseRedis job_key_prefix result_key_prefix timestamp_ms
arq.logs: default_log_config
arq.cli: cli
"""


@pytest.mark.parametrize("line", NAMES_SEEN_IN_THE_WILD.strip().splitlines())
def test_names_seen_in_the_wild_can_be_imported(line: str) -> None:
    """Imports of companions; a missing name switches some of them off silently."""
    module, names = line.split(":")
    missing = [name for name in names.split() if not hasattr(importlib.import_module(module), name)]
    assert missing == []
