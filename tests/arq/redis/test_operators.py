"""The commands for operators: `arq ls`, `arq rm` and so on."""

from __future__ import annotations

import os
import pickle
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from arq._admin import actions
from arq._commands import COMMANDS
from arq._commands.exit_codes import ExitCode
from arq._cron_table import shown
from arq.cron import cron
from tests.arq.redis.operators import Outcome, run_command
from tests.support.eventually import wait_until
from tests.support.programs import ROOT
from tests.support.servers import RedisServer, running_server

QUEUE = "arq:queue"


Arq = Callable[..., Outcome]


@pytest.fixture
def arq(redis_server: RedisServer, redis_client: redis.Redis) -> Arq:
    """Runs a command on the test's Redis, in this process."""

    def run(*words: str, code: int = ExitCode.DONE, **env: str) -> Outcome:
        outcome = run_command(*words, **{"ARQ_REDIS": redis_server.dsn} | env)
        assert outcome.code == code, outcome
        return outcome

    return run


@pytest.fixture
def put(redis_client: redis.Redis) -> Callable[..., None]:
    """Puts a job into a queue, as any arq does."""

    def put(
        job_id: str, function: str = "f", *args: Any, in_s: float = -1, queue: str = QUEUE, **kwargs: Any
    ) -> None:
        now_ms = time.time() * 1000
        payload = {"t": None, "f": function, "a": args, "k": kwargs, "et": int(now_ms)}
        redis_client.set(f"arq:job:{job_id}", pickle.dumps(payload), ex=86_400)
        redis_client.zadd(queue, {job_id: int(now_ms + in_s * 1000)})

    return put


# ---------------------------------------------------------------- beside `arq SETTINGS`


def test_the_help_has_both(arq: Arq) -> None:
    help_text = arq("--help").out
    assert "WORKER_SETTINGS is the path" in help_text
    for name, row in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(row.help[:30])}", help_text, re.MULTILINE)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_command_has_a_help_of_its_own(arq: Arq, name: str) -> None:
    assert arq(name, "--help").out.startswith(f"Usage: arq {name}")


def test_a_command_for_operators_is_not_imported_for_a_worker() -> None:
    code = (
        "import sys\nfrom arq.cli import cli\n"
        "try: cli.main(['nowhere.Settings', *sys.argv[1:]])\nexcept SystemExit: pass\n"
        "loaded = [name for name in sys.modules if name.startswith(('arq._admin', 'arq.admin', 'arq._commands.'))]\n"
        "assert not loaded, loaded"
    )
    for words in ([], ["--check"], ["--burst"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_a_settings_path_names_redis_and_queue(
    arq: Arq, put: Any, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"settings_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(
        "from arq.connections import RedisSettings\n"
        f"class S:\n    redis_settings = RedisSettings.from_dsn({redis_server.dsn!r})\n    queue_name = 'shop'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    put("a", queue="shop")
    for words in (["--settings", f"{module}.S"], ["--redis", f"{module}:S"]):
        assert [row["id"] for row in arq("ls", "--json", *words, ARQ_REDIS="").rows] == ["a"]
    assert "can't import 'no.such'" in arq("ls", "--settings", "no.such", code=ExitCode.USAGE).err


# ---------------------------------------------------------------- ls and show


def test_ls_as_a_table(arq: Arq, put: Any) -> None:
    put("a", "mail", 1, to="x" * 300)
    put("b", "mail", in_s=7260)
    lines = arq("ls").out.splitlines()
    assert lines[0].split() == ["ID", "STATE", "FUNCTION", "AGE", "DUE", "TRIES", "ARGUMENTS"]
    assert re.match(r"a +queued +mail +\d+s +now +0 +1, to='x+'…$", lines[1])
    assert re.match(r"b +deferred +mail +\d+s +in 2h0[01]m +0$", lines[2])


def test_ls_as_json(arq: Arq, put: Any) -> None:
    put("a\x1b[31m", "mail", 1, b"\xff", to=["x", 2.5])
    (row,) = arq("ls", "--json").rows
    assert (row["id"], row["state"], row["function"]) == ("a\x1b[31m", "queued", "mail")
    assert (row["args"], row["kwargs"]) == ([1, "b'\\xff'"], {"to": ["x", 2.5]})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["enqueued"])
    assert "\x1b" not in arq("ls").out


def test_ls_goes_on_where_it_ended(arq: Arq, put: Any) -> None:
    for number in range(5):
        put(f"job{number}", in_s=number - 10)
    first = arq("ls", "-n", "3", "--json")
    (cursor,) = re.findall(r"more: --cursor (\S+)", first.err)
    rest = arq("ls", "--json", "--cursor", cursor)
    assert [row["id"] for row in first.rows + rest.rows] == [f"job{number}" for number in range(5)]
    assert rest.err == ""


def test_ls_of_nothing(arq: Arq) -> None:
    assert arq("ls").err == f"arq: queue '{QUEUE}' is empty\n"
    assert "no such jobs" in arq("ls", "-f", "mail").err
    no_queue = arq("ls", "--queue", "nowhere", code=ExitCode.NOT_ALL)
    assert no_queue.err == "arq: there is no queue 'nowhere': no jobs, no workers\n"


def test_ls_counts(arq: Arq, put: Any) -> None:
    put("a")
    put("b", in_s=60)
    (row,) = arq("ls", "--counts", "--json").rows
    assert (row["queued"], row["deferred"], row["running"], row["done"]) == (1, 1, 0, 0)
    assert re.search(r"^queued +1$", arq("ls", "--counts").out, re.MULTILINE)


def test_show(arq: Arq, put: Any) -> None:
    put("a", "mail", 1, in_s=60)
    assert "call      mail(1)" in arq("show", "a").out
    assert [event["what"] for event in arq("show", "a", "--json").rows[0]["timeline"]] == [
        "enqueued",
        "due",
        "expires",
    ]
    nobody = arq("show", "nobody", code=ExitCode.NOT_ALL)
    assert nobody.err == f"arq: there is no job 'nobody' in queue '{QUEUE}'\n"


def test_show_of_a_job_in_another_queue(arq: Arq, put: Any) -> None:
    put("a", queue="shop")
    assert "it may be in another queue: say --queue" in arq("show", "a", code=ExitCode.NOT_ALL).err
    assert "queue     shop" in arq("show", "a", "-q", "shop").out


# ---------------------------------------------------------------- rm, retry, abort


def test_rm(arq: Arq, put: Any, redis_client: redis.Redis) -> None:
    put("a")
    assert arq("rm", "a", "--yes").out == "a: removed\n"
    assert redis_client.keys("*") == [b"arq:audit"]
    assert arq("rm", "a", "--yes", code=ExitCode.NOT_ALL).err == "a: there is no such job\n"


def test_what_runs_is_left_alone(arq: Arq, put: Any, redis_client: redis.Redis) -> None:
    put("a")
    put("b")
    redis_client.set("arq:in-progress:a", "1", ex=60)
    outcome = arq("rm", "a", "b", "--yes", "--json", code=ExitCode.NOT_ALL)
    assert outcome.rows == [{"id": "a", "outcome": "running"}, {"id": "b", "outcome": "done"}]
    assert redis_client.zrange(QUEUE, 0, -1) == [b"a"]


def test_nobody_to_ask_means_no(arq: Arq, put: Any, redis_client: redis.Redis) -> None:
    put("a")
    put("b")
    for words in (["rm", "a"], ["rm", "--all"], ["retry", "--all", "--state", "queued"], ["abort", "a", "b"]):
        refused = arq(*words, code=ExitCode.USAGE)
        assert re.fullmatch(
            r"arq: this is no terminal, and would \w+ \d jobs?: say --yes if you mean it\n", refused.err
        )
    assert redis_client.zcard(QUEUE) == 2


def test_rm_of_nothing_in_particular_is_refused(arq: Arq, put: Any) -> None:
    put("a")
    assert "which jobs?" in arq("rm", "--yes", code=ExitCode.USAGE).err
    assert "not both" in arq("rm", "a", "--all", "--yes", code=ExitCode.USAGE).err


def test_a_dry_run_does_nothing(arq: Arq, put: Any, redis_client: redis.Redis) -> None:
    for number in range(3):
        put(f"job{number}", "mail")
    put("other", "pdf")
    outcome = arq("rm", "-f", "mail", "--dry-run")
    assert outcome.out.splitlines() == [f"would remove job{number}" for number in range(3)]
    assert outcome.err == "arq: would remove 3 jobs; nothing was done\n"
    assert redis_client.zcard(QUEUE) == 4
    assert len(arq("rm", "--all", "--dry-run", "--json").rows) == 4


def test_many_are_told_by_their_number(arq: Arq, put: Any, redis_client: redis.Redis) -> None:
    for number in range(250):
        put(f"job{number}", "mail")
    put("other", "pdf")
    assert arq("rm", "-f", "mail", "--yes").out == "250 removed\n"
    assert redis_client.zrange(QUEUE, 0, -1) == [b"other"]


def test_retry(arq: Arq, put: Any, redis_client: redis.Redis) -> None:
    put("a", in_s=3600)
    put("b", in_s=3600)
    put("c", "g", in_s=3600)
    assert arq("retry", "a").out == "a: due now\n"
    assert arq("retry", "-f", "f", "--yes").out == "b: due now\n"
    assert redis_client.zcount(QUEUE, "-inf", time.time() * 1000 + 1000) == 2


def test_abort(arq: Arq, put: Any, redis_client: redis.Redis) -> None:
    put("a")
    assert arq("abort", "a").out == "a: aborted\n"
    assert arq("abort", "a", code=ExitCode.NOT_ALL).err == "a: is over\n"
    assert "done, failed" in arq("show", "a").out


# ---------------------------------------------------------------- pause and resume


def test_pause_and_resume(arq: Arq, put: Any) -> None:
    put("a")
    paused = arq("pause", QUEUE, "--note", "a migration")
    assert paused.out == f"queue {QUEUE} is paused: 0 running jobs end, 1 wait\n"
    (row,) = arq("ls", "--counts", "--json").rows
    assert row["paused"]
    assert row["note"] == "a migration"
    assert re.search(r"^paused +since .* by .*: a migration$", arq("ls", "--counts").out, re.MULTILINE)
    assert arq("resume", QUEUE).out == f"queue {QUEUE} is resumed\n"
    again = arq("resume", QUEUE, code=ExitCode.NOT_ALL)
    assert again.err == f"arq: queue '{QUEUE}' was not paused\n"


def test_a_queue_of_which_nothing_is_known_is_paused_and_that_is_said(arq: Arq) -> None:
    outcome = arq("pause", "nowhere")
    assert "queue nowhere is paused" in outcome.out
    assert outcome.err == "arq: note: queue 'nowhere' has no jobs, and no worker looks at it\n"
    arq("resume", "nowhere")


def test_what_can_be_no_queue_is_refused(arq: Arq) -> None:
    for words in (["pause", "arq:job:x"], ["ls", "-q", "arq:job:x"]):
        assert "can't be the name of a queue" in arq(*words, code=ExitCode.USAGE).err


# ---------------------------------------------------------------- workers, schedules, watch


def test_workers(arq: Arq, put: Any, redis_client: redis.Redis) -> None:
    assert arq("workers").err == "arq: no workers\n"
    redis_client.zadd("arq:leases", {"web1:7:0a1b2c3d": (time.time() + 60) * 1000})
    redis_client.expire("arq:leases", 60)
    put("a", "mail")
    redis_client.set("arq:in-progress:a", "1", ex=60)
    listed = arq("workers")
    assert re.search(r"^web1:7:0a1b2c3d +web1 +7 +elsewhere +0$", listed.out, re.MULTILINE)
    assert re.search(r"^\(python-arq\) .*ignores pauses +1 +a:mail$", listed.out, re.MULTILINE)
    assert "at least 1 worker that ignore pauses look at queue" in listed.err
    ours, theirs = arq("workers", "--json").rows
    assert (ours["id"], ours["host"], ours["pid"]) == ("web1:7:0a1b2c3d", "web1", 7)
    assert (theirs["kind"], theirs["obeys_pauses"]) == ("python-arq", False)
    assert "ignore pauses" in arq("pause", QUEUE).err
    arq("resume", QUEUE)


def test_words_for_workers(arq: Arq, redis_client: redis.Redis) -> None:
    redis_client.zadd("arq:leases", {"w": (time.time() + 60) * 1000})
    redis_client.expire("arq:leases", 60)
    assert arq("workers", "stop", "w", "--no-wait").err == "w: is told; it hears within 20 s\n"
    assert redis_client.get("arq:control:w") == b"stop"
    unknown = arq("workers", "quiet", "nobody", code=ExitCode.NOT_ALL)
    assert unknown.err == "nobody: there is no such worker\n"
    for words in (["quiet"], ["dance", "w"]):
        assert "say quiet, resume or stop" in arq("workers", *words, code=ExitCode.USAGE).err


def test_crons(arq: Arq, redis_client: redis.Redis) -> None:
    now = datetime.now(UTC)
    redis_client.hset("arq:crons:arq:queue", "x", shown(cron(nothing, name="report", hour=3), UTC, now, None))
    redis_client.expire("arq:crons:arq:queue", 60)
    assert re.search(r"^report +\* 3 \* \* \* +UTC .* on$", arq("crons").out, re.MULTILINE)
    assert arq("crons", "pause", "report").out == "report: is paused\n"
    assert arq("crons", "--json").rows[0]["paused"]
    assert arq("crons", "pause", "report", code=ExitCode.NOT_ALL).err == "report: was paused before\n"
    assert arq("crons", "resume", "report").out == "report: is resumed\n"
    assert re.fullmatch(r"report: is enqueued as report:now:\w+\n", arq("crons", "run", "report").out)
    nobody = arq("crons", "run", "nobody", code=ExitCode.NOT_ALL)
    assert nobody.err == "nobody: no worker has shown such a schedule\n"
    assert "say pause, resume or run" in arq("crons", "run", code=ExitCode.USAGE).err


async def nothing(ctx: Any) -> None: ...


def test_watch(arq: Arq, put: Any) -> None:
    put("a")
    assert f"queue {QUEUE}: 1 queued, oldest due" in arq("watch", "--times", "1").out
    (row,) = arq("watch", "--times", "1", "--json").rows
    assert (row["queued"], row["workers"], row["paused"]) == (1, [], False)


# ---------------------------------------------------------------- trouble


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("redis://localhost:1", "redis can't be used: ConnectionError"),
        ("foo://x:secret@y", "--redis is no address of a Redis"),
        ("redis://:se/cret@localhost", "--redis is no address of a Redis"),
    ],
)
def test_wrong_addresses(arq: Arq, address: str, said: str) -> None:
    code = ExitCode.REDIS if "can't be used" in said else ExitCode.USAGE
    outcome = arq("ls", "--redis", address, code=code)
    assert said in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert "cret" not in outcome.err


def test_who_may_only_read_may_look(
    arq: Arq, put: Any, redis_server: RedisServer, redis_client: redis.Redis
) -> None:
    put("a")
    rights = ("on", ">secret", "~arq:*", "+@read", "+@scripting", "+@connection", "+time")
    redis_client.execute_command("ACL", "SETUSER", "looker", *rights)  # type: ignore[no-untyped-call]
    try:
        address = redis_server.dsn.replace("//", "//looker:secret@")
        for words in (
            ["ls"],
            ["ls", "--counts"],
            ["show", "a"],
            ["workers"],
            ["crons"],
            ["watch", "--times", "1"],
        ):
            arq(*words, "--redis", address)
        assert "lacks rights" in arq("rm", "a", "--yes", "--redis", address, code=ExitCode.REDIS).err
    finally:
        redis_client.execute_command("ACL", "DELUSER", "looker")  # type: ignore[no-untyped-call]
    assert redis_client.zcard(QUEUE) == 1


def test_a_key_that_is_no_queue_is_told(arq: Arq, redis_client: redis.Redis) -> None:
    redis_client.set("shop", "a text", ex=60)
    for words in (
        ["ls"],
        ["ls", "--counts"],
        ["show", "a"],
        ["rm", "a", "--yes"],
        ["retry", "a"],
        ["abort", "a"],
    ):
        outcome = arq(*words, "-q", "shop", code=ExitCode.NOT_ALL)
        assert len(outcome.err.splitlines()) == 1, outcome
    assert redis_client.get("shop") == b"a text"


@pytest.mark.processes
def test_a_reader_that_has_enough_is_no_error(put: Any, redis_server: RedisServer) -> None:
    for number in range(2000):
        put(f"job{number}", "f", "x" * 100)
    listing = subprocess.Popen(
        [sys.executable, "-m", "arq", "ls", "-n", "2000", "--redis", redis_server.dsn],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert listing.stdout is not None
    assert listing.stderr is not None
    assert listing.stdout.readline().startswith(b"ID")
    listing.stdout.close()
    listing.wait(60)
    with listing.stderr:
        assert listing.stderr.read() == b""


def test_settings_that_are_named_win_over_the_environment(
    arq: Arq, put: Any, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"winning_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(
        f"from arq.connections import RedisSettings\nredis_settings = RedisSettings(port={redis_server.port})\n"
        "settings = {'redis_settings': redis_settings}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    put("a")
    assert arq("ls", "--json", "--settings", f"{module}.settings", ARQ_REDIS="redis://localhost:1").rows


def test_mistakes_in_the_command_line_show_no_password(arq: Arq) -> None:
    outcome = arq("ls", "redis://:secret@localhost", code=ExitCode.USAGE)
    assert "secret" not in outcome.err


def test_redis_away_in_the_middle_says_how_far_it_came(
    arq: Arq, put: Any, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is killed after two steps of five."""
    steps: list[int] = []
    delete = actions.delete

    with running_server() as server:
        with redis.Redis(port=server.port) as client:
            client.zadd(QUEUE, {f"job{number:03}": number for number in range(500)})

        async def step(*args: Any) -> Any:
            steps.append(len(steps))
            if len(steps) == 3:
                server.kill()
            return await delete(*args)

        monkeypatch.setattr(actions, "delete", step)
        outcome = arq("rm", "--all", "--yes", "--redis", server.dsn, code=ExitCode.REDIS)
    assert re.search(
        r"^arq: redis went away after 200 of 500 jobs \(ConnectionError: .*\): run the command again",
        outcome.err,
    )


# ---------------------------------------------------------------- on a terminal


@pytest.mark.processes
@pytest.mark.parametrize(("answer", "code", "left"), [("n", ExitCode.NOT_ALL, 2), ("y", ExitCode.DONE, 0)])
def test_a_question_on_a_terminal(
    put: Any, redis_server: RedisServer, redis_client: redis.Redis, answer: str, code: int, left: int
) -> None:
    put("a")
    put("b")
    text, status = on_a_terminal(redis_server, ["rm", "--all"], "Remove 2 jobs? [y/N]:", answer)
    assert status == code, text
    assert redis_client.zcard(QUEUE) == left


@pytest.mark.processes
def test_a_table_fits_into_a_terminal_and_has_colours(put: Any, redis_server: RedisServer) -> None:
    put("a" * 200, "mail", "x" * 200)
    text, status = on_a_terminal(redis_server, ["ls"], "", "")
    assert status == 0
    assert "\x1b[" in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(map(len, plain.splitlines())) <= 80


def on_a_terminal(server: RedisServer, words: list[str], question: str, answer: str) -> tuple[str, int]:
    """What a command prints on a terminal of 80 columns, and its exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "arq", *words, "--redis", server.dsn],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "80", "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    text = ""
    try:
        if question:
            text += wait_until(lambda: _more(ours, text, question), 60, question)
            os.write(ours, answer.encode() + b"\n")
        process.wait(60)
        text += _rest(ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return text, process.returncode


def _more(terminal: int, text: str, wanted: str) -> str:
    found = _rest(terminal)
    return found if wanted in text + found else ""


def _rest(terminal: int) -> str:
    found = b""
    while select.select([terminal], [], [], 0.2)[0]:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        found += part
    return found.decode(errors="replace")
