#!/usr/bin/env bash
# One crontab line, six well-known readers, three schedules: a day of the month together with a day of the week.
#
# Most would guess: `0 9 13 * fri` means one thing, that of cron(8) (the 13th, and every Friday), whichever library of a
#   queue reads it; where libraries differ, they refuse what they don't know.
# What is so: croniter (rq 3, saq, procrastinate), cronsim (docket) and pycron (taskiq) run on the 13th and on Fridays. Celery,
#   APScheduler and crontab (streaq) run only on a Friday the 13th. For a stepped star, `0 9 */2 * mon`, croniter leaves that
#   camp: it still means "odd days and Mondays", where cronsim and pycron turn to "Mondays on odd days", as cron(8) does
#   for whatever begins with a star. And `0 9 * * 5` is a Friday for all, but a Saturday for APScheduler, which counts
#   from Monday = 0 in crontab lines as well. None of them says a word.
# Versions: croniter 7.0.0, cronsim 2.8, pycron 3.3.0, celery 5.7.0, APScheduler 3.11.3, crontab 1.0.5, Python 3.11.
# Output seen (days of June 2026, which begins on a Monday):
#   0 9 13 * fri  | croniter, cronsim, pycron: 5 12 13 19 26 | celery, apscheduler, crontab: never
#   0 9 */2 * mon | croniter: 1 3 5 7 8 9 11 13 15 17 19 21 22 23 25 27 29 | the other five: 1 15 29
#   0 9 * * 5     | apscheduler: 6 13 20 27 | the other five: 5 12 19 26
# Why it matters to a queue: moving a schedule from one queue to another by copying its line changes the days on which
#   invoices go out; nothing fails, nothing is logged. A queue that takes crontab lines has to say which of the three it
#   means, and a test of a schedule has to look at dates.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    croniter==7.0.0 cronsim==2.8 pycron==3.3.0 celery==5.7.0 APScheduler==3.11.3 crontab==1.0.5
cat >"$work/days.py" <<'PYTHON'
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START, END = datetime(2026, 6, 1), datetime(2026, 7, 1)
BEFORE = START - timedelta(seconds=1)
JUNE = [datetime(2026, 6, day, 9) for day in range(1, 31)]


def days_of(following: Callable[[datetime], datetime | None]) -> list[int]:
    found, moment = [], following(BEFORE)
    while moment is not None and moment < END:
        found.append(moment.day)
        moment = following(moment)
    return found


def by_croniter(line: str) -> list[int]:
    from croniter import croniter

    return days_of(lambda moment: croniter(line, moment).get_next(datetime))


def by_cronsim(line: str) -> list[int]:
    from cronsim import CronSim

    return days_of(lambda moment: next(CronSim(line, moment)))


def by_pycron(line: str) -> list[int]:
    import pycron

    return [day.day for day in JUNE if pycron.is_now(line, day)]


def by_celery(line: str) -> list[int]:
    from celery.schedules import crontab

    fields = crontab.from_string(line)
    due = [day for day in JUNE if day.day in fields.day_of_month and day.isoweekday() % 7 in fields.day_of_week]
    minute, hour, month_day, month, week_day = line.split()
    for day in JUNE:  # what a beat is told that ran the job last a minute before nine
        schedule = crontab(minute, hour, week_day, month_day, month, nowfun=lambda day=day: day.replace(tzinfo=UTC))
        last = day - timedelta(minutes=1)
        assert schedule.is_due(last.replace(tzinfo=UTC)).is_due == (day in due), day
    return [day.day for day in due]


def by_apscheduler(line: str) -> list[int]:
    from apscheduler.triggers.cron import CronTrigger

    trigger = CronTrigger.from_crontab(line, timezone="UTC")

    def following(moment: datetime) -> datetime | None:
        later = (moment + timedelta(seconds=1)).replace(tzinfo=UTC)
        found = trigger.get_next_fire_time(None, later)
        return found.replace(tzinfo=None) if found else None

    return days_of(following)


def by_crontab(line: str) -> list[int]:
    from crontab import CronTab

    def following(moment: datetime) -> datetime:
        return CronTab(line).next(moment, default_utc=True, return_datetime=True).replace(tzinfo=None)

    return days_of(following)


ODD_MONDAYS, FRIDAYS = [1, 15, 29], [5, 12, 19, 26]
EXPECTED = {
    "0 9 13 * fri": {"croniter cronsim pycron": [5, 12, 13, 19, 26], "celery apscheduler crontab": []},
    "0 9 */2 * mon": {
        "croniter": sorted({*range(1, 31, 2), 8, 22}),
        "cronsim pycron celery apscheduler crontab": ODD_MONDAYS,
    },
    "0 9 * * 5": {"apscheduler": [6, 13, 20, 27], "croniter cronsim pycron celery crontab": FRIDAYS},
}
failed = False
for line, camps in EXPECTED.items():
    for names, expected in camps.items():
        for name in names.split():
            found = globals()[f"by_{name}"](line)
            print(f"{line:14} {name:12}", *(found or ["never"]))
            failed |= found != expected
sys.exit(failed)
PYTHON
"$work/venv/bin/python" "$work/days.py"
