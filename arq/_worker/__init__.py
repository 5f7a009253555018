"""The parts of a worker, in reading order.

main_loop.py     puts the parts together; the loop: do what is regular, write how jobs ended, take new ones, wait
context.py       what the parts share; they know it, and neither each other nor `arq.worker`   (job_table.py: its jobs)
commit_and_claim.py  one exchange with Redis: write endings, claim jobs   (unwritten_endings.py, bad_items.py)
claims.py        jobs that were claimed: started, or given back   (job_slots.py: places)
job.py           one run of a job   (run_coroutine.py, job_timeout.py: under its timeout; hooks.py)
attempt.py       the values that travel: what was claimed, how it ended
outcomes.py      may it run, and what does its ending mean   (no I/O; retry_policy.py: is it tried again)
job_log.py       every log line of a job's life   (quick_log.py: how they are made cheap)

By the clock: periodic_tasks.py says when (duty_times.py); health_writer.py, cron_ticks.py (cron_planner.py: which are
due), locks.py, abort_requests.py, operators.py. In between: idle.py waits, by poll_schedule.py, for wake_tokens.py and
with waiting_claim.py. At the end: stop_signals.py, shutdown.py, closing.py. Without Redis: redis_outage.py. For
applications that change a worker: finish_override.py, arq_compatibility.py, semaphore.py.
"""
