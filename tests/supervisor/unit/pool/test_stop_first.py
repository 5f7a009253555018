"""Stop-first, step by step: cases that are rare in real pools."""

from typing import Any

from supervisor.options import Options
from supervisor.pool.events import ForkFailed, LetIn, Loaded, Reload, Role
from supervisor.pool.state import Child, Phase
from tests.supervisor.unit.pool.play import Play


def up(procs: int = 1, **options: Any) -> Play:
    """A pool whose workers are ready, with a spare each."""
    play = Play(Options("app.Settings", procs=procs, reload_surge=0, **options))
    go_on(play)
    return play


def go_on(play: Play) -> None:
    """Whoever starts gets its code, and is ready when it has been let in."""
    for _ in range(8):
        for key in list(play.alive):
            child = play.machine.pool.children[key]
            if child.phase is Phase.BOOTING and child.was_let_in:
                play.ready(key)
            elif child.phase is Phase.BOOTING:
                play.feed(Loaded(key))
        play.pass_time(0.5)


def spares(play: Play) -> list[int]:
    return [child.key for child in play.machine.pool.children.values() if child.role is Role.SPARE]


def at_work(play: Play) -> Child:
    """Who fills the first slot."""
    child = play.machine.pool.slots[0].child
    assert child is not None
    return child


def failed_reload(play: Play) -> None:
    """The new code fails in its start hook, and the old one is back."""
    (old,) = play.workers()
    play.feed(Reload("SIGHUP"))
    (new,) = set(play.workers()) - {old}
    play.feed(Loaded(new))
    (its_spare,) = [key for key in spares(play) if play.alive[key].generation > 1]
    play.feed(Loaded(its_spare)).ends(old, 0, bye="stop")
    play.fails(new, "boot", 3)
    assert play.said("reload.failed")
    play.ends(its_spare, 0)
    go_on(play)


def test_a_worker_is_let_in_when_its_spare_has_the_code() -> None:
    play = Play(Options("app.Settings", procs=1, reload_surge=0))
    (worker,) = play.workers()
    assert not spares(play)
    play.feed(Loaded(worker))
    (spare,) = spares(play)
    assert not [order for order in play.orders if isinstance(order, LetIn)]
    play.feed(Loaded(spare))
    assert [order.key for order in play.orders if isinstance(order, LetIn)] == [worker]


def test_time_that_is_waited_for_others_does_not_count_as_boot_time() -> None:
    play = up(boot_timeout_s=10)
    (old,) = play.workers()
    play.feed(Reload("SIGHUP"))
    (new,) = set(play.workers()) - {old}
    play.pass_time(4)
    play.feed(Loaded(new))
    play.feed(*(Loaded(key) for key in spares(play)))
    assert play.signals_to(old) == ["TERM"]
    play.pass_time(7)  # it drains
    play.ends(old, 0, bye="stop")
    play.pass_time(5)
    assert not play.signals_to(new)
    play.pass_time(2)
    assert play.signals_to(new)


def test_recycling_is_put_off_while_only_code_that_has_failed_could_follow() -> None:
    play = up(max_jobs_per_child=5, recycle_jitter=0)
    failed_reload(play)
    worker = at_work(play).key
    (spare,) = spares(play)
    play.ends(spare, signal="SIGKILL")
    play.beat(worker, complete=5)
    assert play.said("recycle.failed")
    assert not play.signals_to(worker)
    assert at_work(play).key == worker


def test_recycling_takes_the_spare_while_the_code_on_the_disk_is_in_doubt() -> None:
    play = up(max_jobs_per_child=5, recycle_jitter=0)
    failed_reload(play)
    worker = at_work(play).key
    (spare,) = spares(play)
    play.beat(worker, complete=5)
    (copy,) = spares(play)  # the next one of whoever follows
    play.feed(Loaded(copy))
    assert play.signals_to(worker) == ["TERM"]
    play.ends(worker, 0, bye="stop")
    go_on(play)
    child = at_work(play)
    assert (child.key, child.phase) == (spare, Phase.READY)


def test_a_copy_that_is_refused_is_no_reason_not_to_use_the_spare() -> None:
    play = up()
    play.refuses_copies = True
    failed_reload(play)
    assert play.said("fork.failed")
    child = at_work(play)
    assert (child.was_spare, child.phase) == (True, Phase.READY)
    assert not spares(play)


def test_a_spare_that_the_system_refuses_is_tried_again() -> None:
    play = Play(Options("app.Settings", procs=1, reload_surge=0))
    (worker,) = play.workers()
    play.feed(Loaded(worker))
    (spare,) = spares(play)
    play.machine.pool.children[spare].pid = 0
    del play.alive[spare]
    play.feed(ForkFailed(spare, "no memory"))
    assert [order.key for order in play.orders if isinstance(order, LetIn)] == [worker]
    go_on(play)
    assert len(spares(play)) == 1
