"""Lists of jobs look at no more than they are told to: a page that is open asks again and again."""

from datetime import timedelta

from arq.admin import Admin
from arq.connections import ArqRedis


async def test_jobs_of_python_arq_are_looked_for_among_the_first_due_ones(arq_redis: ArqRedis) -> None:
    for n in range(4):
        await arq_redis.enqueue_job("f", _job_id=str(n), _defer_by=timedelta(seconds=n - 100))
    await arq_redis.set("arq:in-progress:3", b"1", ex=60)
    admin = Admin(arq_redis)
    assert [job.job_id for job in (await admin.jobs(state="running")).jobs] == ["3"]
    assert (await admin.jobs(state="running", scan_limit=3)).jobs == []
