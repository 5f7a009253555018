"""The pictures of the dashboard in docs/images, taken of the demonstration: `make screenshots`.

The demonstration runs for some minutes first, so that there is something to be seen in the charts.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.browser.chromium import browser_flags, find_chromium

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
TOKEN = "only for pictures, and long enough for it"
#: as much as is to be seen, and no empty ground
OVERVIEW, JOB = {"width": 1120, "height": 525}, {"width": 1120, "height": 900}
LARGEST_BYTES = 150_000


@contextmanager
def demonstration(run_s: float) -> Iterator[str]:
    """The address of a dashboard whose pool has worked for so long."""
    command = [sys.executable, "-m", "examples.demo", "--stay"]
    environment = {**os.environ, "ARQ_WEB_TOKEN": TOKEN}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            text = ""
            while "Ctrl-C" not in text:
                line = process.stdout.readline()
                if not line:
                    sys.exit("screenshots: the demonstration has ended")
                text += line
            found = re.search(r"http://\S+?(?=/?\s)", text)
            if found is None:
                sys.exit("screenshots: the demonstration has no dashboard")
            print(f"screenshots: {found[0]} works for {run_s:.0f} s", flush=True)
            time.sleep(run_s)
            yield found[0]
        finally:
            process.terminate()
            process.communicate()


def take(page: Any, address: str, scheme: str) -> None:
    """Both pictures."""
    page.goto(address)
    page.fill("input[name=token]", TOKEN)
    page.press("input[name=token]", "Enter")
    page.wait_for_selector("nav")
    page.set_viewport_size(OVERVIEW)
    save(page, f"dashboard-overview-{scheme}.png")
    page.goto(f"{address}/dead")
    page.click("tbody th a")
    page.wait_for_selector("text=Traceback")
    page.set_viewport_size(JOB)
    save(page, f"dashboard-job-{scheme}.png")


def save(page: Any, name: str) -> None:
    path = IMAGES / name
    page.screenshot(path=path)
    size = path.stat().st_size
    print(f"screenshots: {path.relative_to(ROOT)}, {size / 1000:.0f} kB")
    if size > LARGEST_BYTES:
        sys.exit(f"screenshots: {name} is larger than {LARGEST_BYTES / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots", description=__doc__)
    parser.add_argument("--seconds", type=float, default=420, help="how long the demonstration works before")
    options = parser.parse_args()
    path = find_chromium() or sys.exit("screenshots: no chromium on the PATH: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    with demonstration(options.seconds) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=browser_flags())
        for scheme in ("light", "dark"):
            context = browser.new_context(color_scheme=scheme)
            take(context.new_page(), address, scheme)
        browser.close()


if __name__ == "__main__":
    main()
