"""The dashboard's process: one more child that the pool can do without."""

from supervisor.exit_codes import ExitCode
from supervisor.options import Options
from supervisor.pool.events import Ready, Report, Role, Stop
from tests.supervisor.unit.pool.play import Play, booted

WEB = "127.0.0.1:8800"


def of_role(play: Play, role: Role) -> list[int]:
    return [key for key, fork in play.alive.items() if fork.role is role]


def test_it_starts_at_once_and_nobody_waits_for_it() -> None:
    play = Play(Options("app.Settings", procs=1, web=WEB))
    assert of_role(play, Role.WEB)
    play.ready(play.of_slot(0)).pass_time(1)
    assert play.said("pool.ready")
    assert not Play(Options("app.Settings", procs=1)).machine.pool.helpers.keys() & {Role.WEB}


def test_one_that_dies_again_and_again_is_started_ever_later_and_never_ends_the_pool() -> None:
    play = booted(1, web=WEB, max_restarts=0, backoff_base_s=1.0, backoff_max_s=20.0)
    for _ in range(8):
        if not of_role(play, Role.WEB):
            play.pass_time(25)
        (web,) = of_role(play, Role.WEB)
        play.feed(Ready(web, Report())).ends(web, signal="SIGKILL")
    assert not play.machine.done
    assert play.machine.pool.helpers[Role.WEB].pause_s > 10
    assert play.machine.pool.ready_count() == 1


def test_one_that_stands_still_is_replaced() -> None:
    play = booted(1, web=WEB, hang_timeout_s=0)
    (web,) = of_role(play, Role.WEB)
    play.beat(web).pass_time(31, beating=False)
    assert [said["role"] for said in play.said("child.hung") if said["role"] == "web"]
    play.ends(web, signal="SIGKILL").pass_time(5)
    assert of_role(play, Role.WEB) not in ([], [web])


def test_it_shows_the_end_of_the_workers_and_ends_with_the_steward() -> None:
    play = booted(1, web=WEB)
    ((web,), (steward,)) = of_role(play, Role.WEB), of_role(play, Role.STEWARD)
    play.feed(Stop("SIGTERM"))
    assert play.signals_to(web) == []
    play.ends(play.of_slot(0), 0, bye="stop")
    assert play.signals_to(web) == play.signals_to(steward) == ["TERM"]
    play.ends(web, 0, bye="stop").ends(steward, 0, bye="stop")
    assert play.code is ExitCode.OK
