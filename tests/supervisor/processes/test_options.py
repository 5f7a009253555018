"""Options that reach into a worker's process."""

import json
import os
from pathlib import Path

import pytest

from supervisor import Options
from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes


def test_the_public_names() -> None:
    import supervisor

    assert Options("app.Settings").procs == 1
    assert sorted(supervisor.__all__) == ["ARQ_SUPERVISE", "Options", "run"]
    with pytest.raises(AttributeError):
        _ = supervisor.nothing


def test_oom_score_and_affinity(pool: Pool) -> None:
    pool.start("--procs", "2", "--child-oom-score-adj", "300", "--cpu-affinity", "spread").ready()
    for slot, pid in pool.workers().items():
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "300"
        allowed = sorted(os.sched_getaffinity(pool.pid))
        assert os.sched_getaffinity(pid) == {allowed[slot % len(allowed)]}
    assert pool.stop() == 0


def test_a_log_configuration_of_ones_own(pool: Pool, queue: Queue) -> None:
    (pool.directory / "mylog.py").write_text(
        "config = {'version': 1, 'handlers': {'h': {'class': 'logging.FileHandler', 'filename': 'own.log'}},"
        " 'loggers': {'arq': {'handlers': ['h'], 'level': 'INFO'}}}\n"
    )
    pool.start("--procs", "1", "--custom-log-dict", "mylog.config").ready()
    queue.result(queue.put("echo", 1))
    wait_until(lambda: "echo" in (pool.directory / "own.log").read_text(), what="the job is in the log")
    assert not pool.events("log")
    assert pool.stop() == 0


def test_a_log_configuration_that_is_not_there(pool: Pool) -> None:
    assert pool.start("--procs", "1", "--custom-log-dict", "nowhere.config").wait() == 4
    assert "nowhere" in pool.events("boot.failed")[0]["error"]
    assert "cannot use --custom-log-dict nowhere.config (ModuleNotFoundError: " in pool.text()


def test_a_log_configuration_that_is_none_is_one_line(pool: Pool) -> None:
    assert pool.start("--procs", "1", "--custom-log-dict", "app.Settings").wait() == 4
    line = pool.text().splitlines()[-1]
    assert line.startswith(
        "arq-supervise: cannot use --custom-log-dict app.Settings (ValueError: no configuration"
    )
    assert "Traceback" not in pool.text()


def test_options_from_the_environment(pool: Pool) -> None:
    pool.start(ARQ_SUPERVISE_PROCS="3", ARQ_SUPERVISE_NAME="shop", ARQ_SUPERVISE_BURST="1")
    assert pool.wait() == 0
    assert pool.events("supervisor.start")[0]["procs"] == 3
    assert pool.events("supervisor.start")[0]["pool"] == "shop"


def test_the_command_line_wins(pool: Pool) -> None:
    pool.start("--procs", "1", "--burst", ARQ_SUPERVISE_PROCS="3")
    assert pool.wait() == 0
    assert pool.events("supervisor.start")[0]["procs"] == 1


def test_settings_as_a_dictionary_and_with_a_colon(pool: Pool, queue: Queue) -> None:
    (pool.directory / "plain.py").write_text(
        "import app\nsettings = {'functions': [app.echo], 'redis_settings': app.Settings.redis_settings}\n"
    )
    pool.start("--procs", "1", settings="plain:settings").ready()
    assert queue.result(queue.put("echo", 1)) == 1
    assert pool.stop() == 0


def test_a_pool_made_by_the_user_keeps_its_own_lease(pool: Pool, queue: Queue) -> None:
    (pool.directory / "own.py").write_text(
        "import app\n"
        "from arq.connections import ArqRedis\n"
        "class Settings(app.Settings):\n"
        "    redis_settings = None\n"
        "    redis_pool = ArqRedis(port=app.Settings.redis_settings.port)\n"
    )
    pool.start("--procs", "2", settings="own.Settings").ready()
    assert pool.events("lease.own")
    assert queue.result(queue.put("echo", 1)) == 1
    assert pool.stop() == 0


def test_json_records_of_jobs(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1").ready()
    with pytest.raises(TypeError):
        queue.result(queue.put("slow", "x"))
    failed = wait_until(
        lambda: [record for record in pool.events("log", level="error") if "slow" in record["message"]]
    )
    assert "Traceback" in failed[0]["exc"]
    assert failed[0]["slot"] == 0
    assert pool.stop() == 0
    assert all(json.loads(line) for line in pool.text().splitlines() if line.startswith("{"))
