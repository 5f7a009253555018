"""`arq audit`: what operators have done."""

from __future__ import annotations

import click

from .._admin.merging import merge_notes
from ..admin import AuditNote
from .output import clock, iso, json_line, table, with_server
from .target import Target, say, with_redis

HEADINGS = ("WHEN", "WHO", "WHAT", "QUEUE", "COUNT", "OUTCOME", "OF")


@click.command("audit")
@with_redis
@click.option(
    "-n", "--limit", type=click.IntRange(1, 1000), default=100, metavar="N", help="So many.  [default: 100]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def audit(target: Target, limit: int, as_json: bool) -> None:
    """List what operators have done with jobs, queues, schedules and workers, the newest first: by `arq`, on the
    dashboard, and by programs with arq.admin.Admin. About 1,000 notes are kept, each for 90 days at most.
    """
    found = merge_notes(target.each(lambda admin: admin.audit(limit=limit)), limit)
    if as_json:
        for one in found:
            json_line(
                {
                    "id": one.note_id,
                    "at": iso(one.at_ms),
                    "by": one.by,
                    "action": one.action,
                    "queue": one.queue,
                    "count": one.count,
                    "outcomes": one.outcomes,
                    "ids": one.ids,
                    "note": one.note,
                    **({"server": one.server} if one.server else {}),
                }
            )
    elif found:
        table(with_server(HEADINGS, target.are_several), map(_row, found))
    else:
        say("nobody has done anything lately")


def _row(one: AuditNote) -> tuple[str, ...]:
    outcome = ", ".join(f"{count} {word}" for word, count in one.outcomes.items()) or "begun"
    more = ", ..." if one.count > len(one.ids) else ""
    of = ", ".join(one.ids) + more + (f"  ({one.note})" if one.note else "")
    row = clock(one.at_ms), one.by, one.action, one.queue or "-", str(one.count), outcome, of
    return with_server(row, one.server)
