"""The timezone of the system. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo


class SystemZone(tzinfo):
    """The system's timezone with all its changes, in whatever form the system has it (TZ, /etc/localtime)."""

    def fromutc(self, dt: datetime) -> datetime:
        """The local time of a time in UTC."""
        local = dt.replace(tzinfo=UTC).astimezone()
        found = local.replace(tzinfo=self)
        return found if found.utcoffset() == local.utcoffset() else found.replace(fold=1)

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        """The offset at a local time; of two that are possible, `fold` chooses."""
        return None if dt is None else dt.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, dt: datetime | None) -> timedelta | None:
        """Not known."""
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        """The abbreviation at a local time."""
        return None if dt is None else dt.replace(tzinfo=None).astimezone().tzname()


def now_in_system_zone() -> tzinfo:
    """The system's timezone as it is now: a fixed offset."""
    found = datetime.now().astimezone().tzinfo
    assert found is not None
    return found
