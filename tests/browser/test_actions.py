"""Each action as one does it: a button, a question with a count, an answer that says what happened, the audit trail."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import SCREENSHOTS, Shop, Visitor
from tests.support.eventually import wait_until


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def viewer(request: pytest.FixtureRequest, visit: Callable[..., Visitor]) -> Visitor:
    """With JavaScript, and without it."""
    return visit(
        java_script_enabled=request.param, viewport={"width": 375 if request.param else 1440, "height": 800}
    )


def act(viewer: Visitor, button: Any, question: str, note: str = "") -> str:
    """Press it, look at the question, say yes; returns the answer."""
    page = viewer.page
    button.click()
    button_name = question.partition(" ")[0].lower()
    assert page.locator("h1").inner_text() == question
    page.screenshot(path=SCREENSHOTS / f"question-{button_name}.png")
    if note:
        page.fill("#note", note)
    page.click("button[name=confirm]")
    return str(page.locator("[role=status]").inner_text())


def button(viewer: Visitor, name: str) -> Any:
    return viewer.page.get_by_role("button", name=name, exact=True)


def in_trail(viewer: Visitor, what: str) -> str:
    """The newest line of the audit trail."""
    viewer.go("audit")
    line = str(viewer.page.locator("tbody tr").first.inner_text())
    assert what in line
    return line


def test_one_job_runs_now(viewer: Visitor, shop: Shop) -> None:
    job_id = shop.put("charge", 1, _defer_by=3600)
    viewer.go(f"jobs/{job_id}")
    assert "1 due now" in act(viewer, button(viewer, "Run now"), "Run 1 job now?")
    wait_until(lambda: shop.has(f"arq:result:{job_id}"), what="it has run")
    assert job_id in in_trail(viewer, "run now")


def test_a_selection_is_deleted(viewer: Visitor, shop: Shop) -> None:
    ids = [shop.put("charge", n, _job_id=f"chosen-{n}", _defer_by=3600) for n in range(3)]
    viewer.go("jobs?state=deferred&id_prefix=chosen-")
    viewer.page.get_by_label("Select chosen-0").check()
    viewer.page.get_by_label("Select chosen-2").check()
    assert "2 deleted" in act(viewer, button(viewer, "Delete"), "Delete 2 jobs?")
    assert [shop.has(f"arq:job:{one}") for one in ids] == [False, True, False]
    viewer.page.click("text=Go back")
    assert viewer.page.locator("tbody tr").count() == 1
    in_trail(viewer, "delete")
    viewer.go("jobs/chosen-1")
    act(viewer, button(viewer, "Delete"), "Delete 1 job?")


def test_nothing_is_done_without_a_yes(viewer: Visitor, shop: Shop) -> None:
    job_id = shop.put("charge", 1, _job_id="spared", _defer_by=3600)
    viewer.go(f"jobs/{job_id}")
    button(viewer, "Delete").click()
    viewer.page.click("text=No, go back")
    assert viewer.page.url.endswith(f"/jobs/{job_id}")
    act(viewer, button(viewer, "Delete"), "Delete 1 job?")


def test_a_whole_filter_is_deleted(viewer: Visitor, shop: Shop) -> None:
    for n in range(4):
        shop.put("charge", n, _job_id=f"fits-{n}", _defer_by=3600)
    viewer.go("jobs?state=deferred&id_prefix=fits-&limit=25")
    assert "4 deleted" in act(viewer, button(viewer, "Delete all"), "Delete 4 jobs?")
    assert not shop.has("arq:job:fits-0")
    assert shop.has("arq:job:later-1")


@pytest.mark.parametrize(
    ("label", "question"),
    [("Requeue", "Requeue 1 job?"), ("Requeue for one try", "Requeue 1 job for one try?")],
)
def test_a_dead_job_runs_again(viewer: Visitor, shop: Shop, label: str, question: str) -> None:
    job_id = shop.put("refuse", 1)
    wait_until(lambda: shop.has(f"arq:dead:{job_id}"), what="it is dead")
    viewer.go(f"jobs/{job_id}")
    assert "1 requeued" in act(viewer, button(viewer, label), question)
    wait_until(lambda: shop.has(f"arq:dead:{job_id}"), what="it has failed again")
    assert job_id in in_trail(viewer, "requeue")
    viewer.go(f"dead?id_prefix={job_id}")
    assert "1 deleted" in act(viewer, button(viewer, "Delete all"), "Delete 1 job?")
    assert not shop.has(f"arq:dead:{job_id}")


def test_a_job_that_runs_is_aborted(viewer: Visitor, shop: Shop) -> None:
    job_id = shop.put("pack", "no such gate")
    wait_until(lambda: shop.has(f"arq:in-progress:{job_id}"), what="it runs")
    viewer.go(f"jobs/{job_id}")
    assert "asked to end" in act(viewer, button(viewer, "Abort"), "Abort 1 job?")
    wait_until(lambda: not shop.has(f"arq:in-progress:{job_id}"), what="it has ended")
    assert job_id in in_trail(viewer, "abort")


def test_a_queue_is_paused_and_resumed(viewer: Visitor, shop: Shop) -> None:
    viewer.go("queues")
    assert "1 paused" in act(viewer, button(viewer, "Pause arq:queue"), "Pause 1 queue?", "stock is counted")
    job_id = shop.put("charge", 1)
    viewer.go("queues")
    assert "stock is counted" in viewer.page.locator("main").inner_text()
    assert shop.has(f"arq:job:{job_id}")
    assert "1 resumed" in act(viewer, button(viewer, "Resume arq:queue"), "Resume 1 queue?")
    wait_until(lambda: shop.has(f"arq:result:{job_id}"), what="it has run")
    in_trail(viewer, "resume")


def test_a_schedule_is_run_paused_and_resumed(viewer: Visitor, shop: Shop) -> None:
    for label, question, answer in (
        ("Run once", "Run 1 schedule once now?", "1 enqueued"),
        ("Pause", "Pause 1 schedule?", "1 paused"),
        ("Resume", "Resume 1 schedule?", "1 resumed"),
    ):
        viewer.go("crons")
        assert answer in act(viewer, button(viewer, f"{label} cron:take_stock"), question)
    in_trail(viewer, "cron:take_stock")


def test_workers_are_quieted_and_stopped(viewer: Visitor, shop: Shop) -> None:
    viewer.go("workers")
    name = (
        str(viewer.page.get_by_role("button", name="Quiet").first.text_content())
        .removeprefix("Quiet")
        .strip()
    )
    for label, question, answer in (
        ("Quiet", "Quiet 1 worker?", "told to take no more jobs"),
        ("Let work", "Let 1 worker work?", "told to take jobs again"),
    ):
        viewer.go("workers")
        assert answer in act(viewer, button(viewer, f"{label} {name}"), question)
    assert name in in_trail(viewer, "resume worker")
