"""How the dashboard is read: without a script, with the keyboard, and while it changes."""

from collections.abc import Callable
from typing import Any

from tests.browser.conftest import TOKEN, Shop, Visitor

Visit = Callable[..., Visitor]
FOCUSABLE = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']"
# what has the focus, whether one sees that it does, and whether it is within the window
FOCUSED = """() => {
  const it = document.activeElement;
  if (!it || it === document.body) return null;
  const style = getComputedStyle(it), box = it.getBoundingClientRect();
  it.dataset.reached = "1";
  return {
    what: it.outerHTML.slice(0, 200),
    marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1.5,
    seen: box.width > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight,
  };
}"""
MISSED = """(focusable) => [...document.querySelectorAll(focusable)]
  .filter((one) => one.checkVisibility() && !one.disabled && !one.dataset.reached)
  .map((one) => one.outerHTML.slice(0, 200))"""


def test_everything_works_without_javascript(visit: Visit, shop: Shop) -> None:
    viewer = visit(java_script_enabled=False)
    page = viewer.page
    viewer.go("jobs?state=deferred")
    assert not page.locator("#hold").is_visible()
    page.fill("#f-id", "later-3")
    page.click("form.filter button")
    assert page.locator("tbody tr").count() == 1
    page.click("text=later-3")
    assert "later-3" in page.locator("h1").inner_text()
    for path in page.eval_on_selector_all("nav a", "links => links.map(one => one.href)"):
        assert page.goto(path).status == 200
        assert page.locator("h1").is_visible()
    page.click("text=Log out")
    assert page.locator("input[name=token]").is_visible()


def test_a_wrong_token_is_refused_and_the_right_one_leads_where_one_wanted_to_go(visit: Visit) -> None:
    viewer = visit(is_known=False)
    page = viewer.page
    assert viewer.go("dead").status == 401
    page.fill("input[name=token]", "wrong" * 10)
    page.press("input[name=token]", "Enter")
    assert page.locator("input[name=token]").is_visible()
    page.fill("input[name=token]", TOKEN)
    page.press("input[name=token]", "Enter")
    page.wait_for_selector("nav")
    assert "Dead" in page.locator("h1").inner_text()


def refreshes(page: Any) -> list[str]:
    """Will hold what the script of the page asks for from now on."""
    asked: list[str] = []
    page.on(
        "request", lambda request: asked.append(request.url) if request.resource_type == "fetch" else None
    )
    return asked


def test_an_open_page_follows_and_can_be_held(visit: Visit, shop: Shop) -> None:
    viewer = visit()
    page = viewer.page
    page.clock.install()
    viewer.go("jobs?state=deferred")
    asked = refreshes(page)
    shop.put("charge", 1, _job_id="follows", _defer_by=10)
    page.clock.run_for(6_000)
    page.wait_for_selector("text=follows")
    page.click("#hold")
    assert page.locator("#hold").get_attribute("aria-pressed") == "true"
    asked.clear()
    shop.put("charge", 1, _job_id="unseen", _defer_by=11)
    page.clock.run_for(60_000)
    assert not asked
    assert page.locator("text=unseen").count() == 0
    page.click("#hold")
    page.clock.run_for(6_000)
    page.wait_for_selector("text=unseen")


def test_everything_is_reached_with_the_keyboard(visit: Visit, shop: Shop) -> None:
    viewer = visit(viewport={"width": 1440, "height": 900})
    page = viewer.page
    page.clock.install()  # what is replaced meanwhile would have to be reached again
    for path in ("", "jobs?state=deferred", "jobs/refuse-1", "dead", "crons", "workers", "functions"):
        viewer.go(path)
        unmarked = []
        for _ in range(400):
            page.keyboard.press("Tab")
            found = page.evaluate(FOCUSED)
            if found is None:
                break
            if not (found["marked"] and found["seen"]):
                unmarked.append(found)
        assert not unmarked, path
        assert page.evaluate(MISSED, FOCUSABLE) == [], path


def test_what_jobs_say_is_shown_and_never_obeyed(visit: Visit, shop: Shop) -> None:
    """The fixture refuses dialogs that nobody asked for, and whatever the console complains of."""
    viewer = visit()
    for path in ("jobs/markup", "dead", "jobs/unknown"):
        viewer.go(path)
        assert viewer.page.locator("script:not([src])").count() == 0
        assert "<script>alert" in viewer.page.locator("main").inner_text()
        assert "\u202e" not in viewer.page.locator("main").inner_text()
