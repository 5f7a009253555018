"""Workers are told who goes with them before the first of them goes: then nobody takes what another has given back."""

import random

import pytest

from supervisor.pool.events import Command, Fatal, Fork, Kill, Outgoing, Reload, Role, Scale, Stop
from tests.supervisor.unit.pool.play import Play, booted


def told(play: Play, key: int) -> list[str]:
    return [order.outgoing for order in play.orders if isinstance(order, Outgoing) and order.key == key]


def before_the_first_term(play: Play) -> list[Command]:
    first = next(
        i for i, order in enumerate(play.orders) if isinstance(order, Kill) and order.signal == "TERM"
    )
    return play.orders[:first]


def test_a_reload_tells_all_old_workers_when_the_new_code_works() -> None:
    play = booted(3)
    old = play.workers()
    play.feed(Reload("SIGHUP"))
    assert not any(told(play, key) for key in old)  # that code may not work
    (canary,) = set(play.workers()) - set(old)
    play.ready(canary)
    early = [order.key for order in before_the_first_term(play) if isinstance(order, Outgoing)]
    assert sorted(early) == sorted(old)
    assert len({told(play, key)[0] for key in old}) == 1
    assert not told(play, canary)
    assert play.machine.pool.children[canary].cohort not in told(play, old[0])


def test_a_reload_that_fails_tells_nobody_or_takes_it_back() -> None:
    play = booted(2)
    old = play.workers()
    play.feed(Reload("SIGHUP"))
    (canary,) = set(play.workers()) - set(old)
    play.fails(canary, "import", 4)
    assert not any(told(play, key) for key in old)
    play.feed(Reload("SIGHUP"))
    (canary,) = set(play.workers()) - set(old)
    play.ready(canary)
    gone = next(key for key in old if play.signals_to(key))
    (stays,) = set(old) - {gone}
    play.ends(gone, 0, bye="stop")
    for _ in range(10):
        play.pass_time(1)
        for key in set(play.workers()) - {stays, canary}:
            play.feed(Fatal(key, "import", "ImportError: x", "")).ends(key, 4)
    assert play.said("reload.failed")
    assert told(play, stays)[-1] == ""
    child = play.machine.pool.children[stays]
    assert child.cohort not in told(play, stays)  # it may take what the other has given back


def test_a_stop_tells_everybody_first() -> None:
    play = booted(3)
    play.feed(Stop("SIGTERM"))
    for key in play.workers():
        assert told(play, key) == [play.machine.pool.children[key].cohort]
    early = [order.key for order in before_the_first_term(play) if isinstance(order, Outgoing)]
    assert early[0] == play.workers()[0]


def test_fewer_workers_are_no_generation() -> None:
    play = booted(3)
    last = play.of_slot(2)
    play.feed(Scale(to=2))
    (name,) = told(play, last)
    assert name
    assert name not in {child.cohort for child in play.machine.pool.workers()}


def disturb(play: Play, chance: random.Random) -> None:
    workers = play.workers()
    match chance.choice(["reload", "scale", "end", "ready", "time"]):
        case "reload":
            play.feed(Reload("SIGHUP"))
        case "scale":
            play.feed(Scale(to=chance.choice([1, 2, 4])))
        case "end":
            for key in [key for key in workers if play.signals_to(key)][:1]:
                play.ends(key, 0, bye="stop")
        case "ready":
            play.ready(*(key for key in workers if key not in play.ready_keys()))
        case _:
            play.pass_time(chance.choice([0.1, 3.0, 60.0]))


@pytest.mark.parametrize("seed", range(60))
def test_nobody_is_told_to_end_without_having_been_told_why(seed: int) -> None:
    """Whatever comes in whatever order: TERM to a worker that works is never its first news."""
    chance = random.Random(seed)
    play = booted(3, max_lifetime_s=200.0, restart_window_s=1.0)
    for _ in range(60):
        if not play.machine.done:
            disturb(play, chance)
    children = play.machine.pool.children
    exempt = {child.key for child in children.values() if child.ready_s is None}
    exempt |= {
        order.key for order in play.orders if isinstance(order, Fork) and order.role is not Role.WORKER
    }
    known: set[int] = set()
    for order in play.orders:
        if isinstance(order, Outgoing):
            known.add(order.key)
        elif isinstance(order, Kill) and order.signal == "TERM":
            assert order.key in known | exempt
