"""The parts of a worker. A job's journey, in reading order:

pump.py      one exchange with Redis: write endings, claim jobs        (wake.py: wake-up tokens)
attempt.py   the values that travel: what was claimed, how it ended
decide.py    may it run, and what does its ending mean                 (no I/O)
run.py       run it under its timeout
report.py    every log line of a job's life
schedule.py  which cron jobs are due                                   (no I/O)
"""
