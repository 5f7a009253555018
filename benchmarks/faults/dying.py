"""Faults that kill: the main process, a worker with and without work, all workers."""

from __future__ import annotations

import signal
import time

from benchmarks.faults.peers import WORKERS
from benchmarks.faults.processes import is_alive, kill
from benchmarks.faults.scene import Note, Scene, since_s
from benchmarks.faults.stopping import stop

WATCH_S = 20.0
ORPHANS_AFTER_S = 5.0
REDELIVERY_S, REDELIVERY_WATCH_S = 20, 240
JOBS = ("first", "second")


def main_process(scene: Scene) -> Note:
    """SIGKILL of the main process while a job of 2 s runs; what is left, and can it be started again?"""
    scene.start_ready()
    scene.send_started("nap", "job", 2)
    scene.signal(signal.SIGKILL)
    scene.ended(5)
    gone_s = scene.until(lambda: not scene.processes(), ORPHANS_AFTER_S)
    facts: Note = {"gone_s": gone_s, "left": len(scene.processes()), "watched_s": ORPHANS_AFTER_S}
    if facts["left"]:
        facts["orphans_take_jobs"] = scene.serves("later", 3) is not None
    facts["done"] = scene.is_done("job")
    return {
        **facts,
        **_second_start(scene),
        "done_at_last": scene.is_done("job"),
        "starts": len(scene.starts("job")),
        "is_request": scene.peer.is_web,
    }


def _second_start(scene: Scene) -> Note:
    """The same command again, beside the processes that were left."""
    already = len(scene.ups())
    scene.start()
    up_s = scene.until(lambda: len(scene.ups()) >= already + WORKERS, 15)
    if not scene.is_done("job") and not scene.peer.is_web:
        scene.until(lambda: scene.is_done("job"), 10)
    return {"restart_s": up_s, "restart_exit_code": scene.main.poll()}


def idle_worker(scene: Scene) -> Note:
    """SIGKILL of a worker without work; then a clean stop, whose exit code is looked at."""
    scene.start_ready()
    victim, *others = scene.workers()
    return {
        **_replaced(scene, [victim]),
        "others_untouched": all(map(is_alive, others)),
        **_stop_if_there(scene),
    }


def all_workers(scene: Scene) -> Note:
    """SIGKILL of all workers at once."""
    scene.start_ready()
    return {**_replaced(scene, scene.workers()), **_stop_if_there(scene)}


def _replaced(scene: Scene, victims: list[int]) -> Note:
    """Kill them; seconds until there are as many workers as before, or the main process has ended."""
    already = len(scene.ups())
    began = min(kill(victim) for victim in victims)
    scene.until(lambda: len(scene.ups()) >= already + len(victims) or scene.main.poll() is not None, WATCH_S)
    back = scene.ups()[already:]
    return {
        "back_s": since_s(began, back[len(victims) - 1]["at_ns"]) if len(back) >= len(victims) else None,
        "watched_s": WATCH_S,
        "main_ended_s": None if scene.main.poll() is None else since_s(began),
        "main_exit_code": scene.main.poll(),
    }


def _stop_if_there(scene: Scene) -> Note:
    return {} if scene.main.poll() is not None else stop(scene)


def busy_worker(scene: Scene) -> Note:
    """SIGKILL (as the kernel does when memory is short) of the process that runs a job, or two if it runs two."""
    scene.start_ready()
    for job in JOBS:
        scene.send_started("nap", job, 3)
    victim = scene.starts(JOBS[0])[0]["pid"]
    lost = [job for job in JOBS if scene.starts(job)[0]["pid"] == victim]
    began = kill(victim)
    facts = _watch(scene, began)
    return {
        "lost": len(lost),
        **facts,
        "ran_again_s": [
            since_s(began, scene.starts(job)[1]["at_ns"]) for job in lost if len(scene.starts(job)) > 1
        ],
        "done": sum(scene.is_done(job) for job in lost),
        "broken": sum(map(scene.is_broken, lost)),
        "others_done": all(scene.is_done(job) for job in JOBS if job not in lost),
        "watched_s": WATCH_S,
    }


def _watch(scene: Scene, began: int) -> Note:
    """Until both jobs are done; a program that ended is started again, as a service manager would."""
    deadline = time.monotonic() + WATCH_S
    facts: Note = {"main_exit_code": None}
    while time.monotonic() < deadline and not all(map(scene.is_settled, JOBS)):
        if scene.main.poll() is not None and facts["main_exit_code"] is None:
            facts.update(main_exit_code=scene.main.poll(), main_ended_s=since_s(began))
            scene.clear()
            scene.start()
        time.sleep(0.02)
    return facts


def whole_host(scene: Scene) -> Note:
    """SIGKILL of every process, a job runs: a host that dies. Started again at once, with nothing else to do."""
    (scene.directory / "redelivery-s").write_text(str(REDELIVERY_S))
    scene.start_ready()
    scene.send_started("nap", "job", 3)
    began = kill(scene.main.pid)
    scene.clear()
    scene.start_ready()
    by_itself = scene.until(lambda: scene.is_done("job"), REDELIVERY_WATCH_S)
    if by_itself is None:
        scene.send("nap", "another", 0)
        scene.until(lambda: scene.is_done("job"), 30)
    starts = scene.starts("job")
    return {
        "redelivery_s": REDELIVERY_S,
        "watched_s": REDELIVERY_WATCH_S,
        "again_s": since_s(began, starts[1]["at_ns"]) if len(starts) > 1 else None,
        "by_itself": by_itself is not None,
        "done": scene.is_done("job"),
        "starts": len(starts),
    }


def helper_program(scene: Scene) -> Note:
    """SIGKILL of a worker whose job has started a program: who ends the program?"""
    scene.start_ready()
    worker = scene.send_started("helper", "job")["pid"]
    scene.until(lambda: scene.notes("helper"), 5)
    helper = scene.notes("helper")[0]["helper"]
    kill(worker)
    gone_s = scene.until(lambda: not is_alive(helper), 3)
    facts: Note = {"helper_gone_s": gone_s, "watched_s": 3}
    if gone_s is None:
        _stop_if_there(scene)
        facts["left_after_stop"] = is_alive(helper)
    return facts
