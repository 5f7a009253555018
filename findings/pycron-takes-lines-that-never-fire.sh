#!/usr/bin/env bash
# pycron (the cron reader of taskiq) accepts lines that can never come true: Sunday as 7, `l`, `5#2`.
#
# Most would guess: Sunday is 0 and 7 alike, as in every cron; and a line with a field that the library does not know is
#   refused with an error when it is read.
# What is so: pycron compares each field with a number, and what is equal to no number is simply not now. `0 9 * * 7` is
#   true on no day of any year, `0 9 l * *` (last of the month) and `0 9 * * 5#2` (second Friday) neither; has_been, which
#   is asked whether a run was missed, says no as well. Nothing is raised. `0 9 * * 0` and `sun` are true on Sundays.
# Versions: pycron 3.3.0, Python 3.11; for comparison croniter 7.0.0, which fires on all of these.
# Output seen (days of June 2026):
#   0 9 * * 7    pycron: never     croniter: 7 14 21 28
#   0 9 l * *    pycron: never     croniter: 30
#   0 9 * * 5#2  pycron: never     croniter: 12
# Why it matters to a queue: a weekly job that was moved from a crontab file, where 7 is common, is registered, shown in
#   the list of schedules, and never runs. A scheduler should find the next time of each line when it starts, and say
#   so when there is none.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pycron==3.3.0 croniter==7.0.0
cat >"$work/never.py" <<'PYTHON'
import sys
from datetime import datetime, timedelta

import pycron
from croniter import croniter

JUNE = [datetime(2026, 6, day, 9) for day in range(1, 31)]
EXPECTED = {"0 9 * * 7": [7, 14, 21, 28], "0 9 l * *": [30], "0 9 * * 5#2": [12]}
failed = False
for line, known in EXPECTED.items():
    ours = [day.day for day in JUNE if pycron.is_now(line, day)]
    missed = pycron.has_been(line, JUNE[0] - timedelta(hours=10), JUNE[-1] + timedelta(hours=10))
    theirs = [day.day for day in JUNE if croniter.match(line, day)]
    print(f"{line:12} pycron:", *(ours or ["never"]), "    croniter:", *theirs)
    failed |= bool(ours) or missed or theirs != known
sundays = [day.day for day in JUNE if pycron.is_now("0 9 * * 0", day)]
failed |= sundays != [7, 14, 21, 28] or not pycron.is_now("0 9 * * sun", JUNE[6])
sys.exit(failed)
PYTHON
"$work/venv/bin/python" "$work/never.py"
