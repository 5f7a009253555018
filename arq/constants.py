"""Names and numbers of arq's wire format. They are shared with every arq since 0.16: do not change them."""

#: Sorted set of job ids; the score is the unix time in ms at which a job is due.
default_queue_name = "arq:queue"
#: Prefix of the serialized job.
job_key_prefix = "arq:job:"
#: Prefix of the lock of a running job.
in_progress_key_prefix = "arq:in-progress:"
#: Prefix of the serialized result.
result_key_prefix = "arq:result:"
#: Prefix of the counter of a job's starts.
retry_key_prefix = "arq:retry:"
#: Sorted set of the ids of jobs that somebody asked to abort; the score is the unix time in ms of the request.
abort_jobs_ss = "arq:abort"
#: Seconds after which a request to abort a job that no longer exists is forgotten.
abort_job_max_age = 60
#: Appended to the queue name: the key that holds the health line.
health_check_key_suffix = ":health-check"
#: Seconds for which a finished tick of a unique cron job stays locked, so that a late worker can't run it again.
keep_cronjob_progress = 60
#: Environment variables that may name the timezone of the datetimes in job infos; the first one that is set wins.
timezone_env_vars: tuple[str, ...] = ("ARQ_TIMEZONE", "arq_timezone", "TIMEZONE", "timezone")
#: Milliseconds that a job outlives the time at which it is due, unless `_expires` says otherwise: one day.
expires_extra_ms = 86_400_000
