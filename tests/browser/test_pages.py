"""Each page as a person sees it: on a desk and on a phone, by day and by night."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import SCREENSHOTS, Shop, Visitor
from tests.browser.page_checks import WIDTHS, too_wide, violations

Visit = Callable[..., Visitor]
PAGES = {
    "overview": "", "queues": "queues", "jobs": "jobs", "deferred": "jobs?state=deferred", "done": "jobs?state=done",
    "running": "jobs?state=running", "job": "jobs/refuse-1", "running-job": "jobs/pack-1", "dead": "dead",
    "crons": "crons", "workers": "workers", "functions": "functions", "about": "about", "no-job": "jobs/nobody",
    "nothing": "jobs?state=queued", "no-page": "nowhere", "markup": "jobs/markup", "long": "jobs/long",
    "unknown": "jobs/unknown",
}  # fmt: skip
NOT_FOUND = ("no-job", "no-page")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_are_whole_and_accessible(visit: Visit, shop: Shop, width: str, scheme: str) -> None:
    viewer = visit(viewport={"width": WIDTHS[width], "height": 900}, color_scheme=scheme)
    viewer.expected.append("a status of 404")
    axe, found = Axe(), {}
    for name, path in PAGES.items():
        answer = viewer.go(path)
        assert answer.status == (404 if name in NOT_FOUND else 200), name
        assert viewer.page.locator("h1").count() == 1, name
        viewer.page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
        faults = [*too_wide(viewer.page), *violations(axe, viewer.page)]
        if faults:
            found[name] = faults
    assert not found
