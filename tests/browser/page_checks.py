"""What each page must be, on a desk and on a phone."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe

WIDTHS = {"phone": 375, "desk": 1440}
#: rules of WCAG 2.2 A and AA, and what axe's makers call good practice
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def too_wide(page: Any) -> list[str]:
    """A page scrolls up and down only; wide tables scroll in a frame of their own."""
    over = page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth")
    return [f"{over} px too wide"] if over > 0 else []


def violations(axe: Axe, page: Any) -> list[str]:
    """What axe has to say against it."""
    response = axe.run(page, options={"runOnly": {"type": "tag", "values": TAGS}}).response
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in response["violations"]
        for node in one["nodes"]
    ]
