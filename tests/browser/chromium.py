"""The browser of this machine."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str:
    """Its path; "" if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), "")


def browser_flags() -> list[str]:
    """Headless; as root only without its own sandbox."""
    return ["--no-sandbox"] if os.geteuid() == 0 else []
