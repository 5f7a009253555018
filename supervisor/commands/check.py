"""`--check`: is the pool healthy? Asks the supervisor for the local truth, and Redis for what others see.

`--local` is asked often and by impatient programs: it imports neither Redis's client nor an event loop.
"""

import datetime
import json
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from ..console import complain, tell
from ..control.client import UnreachableError, ask
from ..control.find_socket import find_socket
from ..control.protocol import Request
from ..exit_codes import ExitCode, ProbeCode
from ..printable_text import all_printable
from .check_verdict import CheckedWorker, CheckReport, CheckRequest, Facts, judge_check

LIMIT_S = 5.0
ASK_S = 2.0

T = TypeVar("T")


def run_fleet_check(wanted: CheckRequest) -> int:
    """Print the report of all pools on stdout; returns 0 (healthy enough), 1 (not), 3 (no Redis) or 4 (settings).

    2: --redis-url is no address.
    """
    from ..redis_errors import short
    from .check_fleet import fleet_text
    from .check_redis import AddressError, SettingsError, gather_fleet

    try:
        report = _within_limit(gather_fleet(wanted))
    except SettingsError as error:
        return _no_settings(error)
    except AddressError as error:
        return _no_address(wanted, error)
    except Exception as error:  # noqa: BLE001  # whatever hinders, the state of the fleet is unknown
        complain(f"--check --fleet: {short(error)}")
        return ProbeCode.UNKNOWN
    tell(json.dumps(report.as_json()) + "\n" if wanted.as_json else fleet_text(report))
    return report.exit_code


def run_check(wanted: CheckRequest) -> int:
    """Print the report on stdout; returns 0 (healthy enough), 1 (not), 3 (nobody could be asked) or 4 (settings).

    2: --redis-url is no address.
    """
    facts = Facts(wanted.pool, wanted.host)
    _ask_supervisor(wanted, facts)
    if not wanted.local:
        from .check_redis import AddressError, SettingsError, ask_redis

        try:
            _within_limit(ask_redis(wanted, facts))
        except SettingsError as error:
            return _no_settings(error)
        except AddressError as error:
            return _no_address(wanted, error)
        except TimeoutError:
            facts.problems.append(f"redis: no answer within {LIMIT_S - ASK_S:g} s")
    report = judge_check(facts, wanted.min_healthy, wanted.strict)
    now = datetime.datetime.now(datetime.UTC)
    # the exit code is the verdict, whether or not somebody reads the answer
    tell(json.dumps(report.as_json(now)) + "\n" if wanted.as_json else for_people(report))
    return report.exit_code


def _within_limit(question: Coroutine[Any, Any, T]) -> T:
    """What Redis answers, in the time that is left when the supervisor has been asked."""
    import asyncio

    from ..time_limits import within

    return asyncio.run(within(LIMIT_S - ASK_S, question))


def _no_settings(error: Exception) -> int:
    complain(str(error))
    return ProbeCode.SETTINGS


def _no_address(wanted: CheckRequest, error: Exception) -> int:
    complain(f"--redis-url: {error}")
    return ExitCode.USAGE


def _ask_supervisor(wanted: CheckRequest, facts: Facts) -> None:
    try:
        path = find_socket(wanted.control, wanted.pool, os.environ)
        answer = ask(path, Request("status"), timeout_s=ASK_S)
    except UnreachableError as error:
        facts.problems.append(str(error))
    else:
        if answer.status is not None:
            facts.take_status(answer.status)


def for_people(report: CheckReport) -> str:
    """The verdict, one line for each worker, the problems."""
    report = all_printable(report)
    boss, totals = report.supervisor, report.totals
    about = "no supervisor" if boss is None else f"supervisor {boss.state.upper()} gen {boss.generation}"
    queue = "" if report.queued is None else f", queue {report.queue} {report.queued} queued"
    health = f"{totals.fresh}/{totals.expected} workers healthy"
    lines = [f"{report.status.upper()}  pool {report.pool}@{report.host}: {health}{queue}, {about}"]
    lines += [_worker_line(worker) for worker in report.workers]
    lines += [f"problem: {problem}" for problem in report.problems]
    return "\n".join(lines) + "\n"


def _worker_line(worker: CheckedWorker) -> str:
    head = f" {'ok  ' if worker.fresh else 'FAIL'} slot {worker.slot} pid {worker.pid or '-'}"
    jobs = worker.jobs
    if jobs is None:
        wait = "" if worker.retry_in_s is None else f" {worker.retry_in_s:.0f}s"
        why = f" ({worker.last_exit} x{worker.restarts})" if worker.last_exit else ""
        return f"{head}    {worker.state}{wait}{why}"
    age = "-" if worker.age_s is None else f"{worker.age_s:.1f}s"
    held = "" if worker.blocked_s is None else f"  blocked {worker.blocked_s:.1f}s"
    return (
        f"{head}{held}  age {age}  done {jobs.complete} failed {jobs.failed} retried {jobs.retried}"
        f" ongoing {jobs.ongoing}"
    )
