"""The parts of a worker. A job's journey, in reading order:

pump.py      one exchange with Redis: write endings, claim jobs        (wake.py: wake-up tokens)
jobs.py      one job, from the claim to the written outcome
attempt.py   the values that travel: what was claimed, how it ended
decide.py    may it run, and what does its ending mean                 (no I/O)
run.py       run it under its timeout                               (timelimit.py: one timer for many jobs)
report.py    every log line of a job's life                            (quick_log.py: how they are made cheap)

Beside it: options.py and state.py (what the parts share), duties.py (what goes by the clock; schedule.py: which cron
jobs are due), stopping.py (the end; signals.py), trouble.py (Redis is away).
"""
