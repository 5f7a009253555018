"""`--print-unit`: the systemd unit with this host's paths."""

import getpass
import grp
import os
import shutil
import sys
from importlib.resources import files

# the files in systemd/ are made with these: an application in /srv/app with its environment beside it
EXAMPLE = {
    "USER": "arq",
    "GROUP": "arq",
    "DIRECTORY": "/srv/app",
    "COMMAND": "/srv/app/.venv/bin/arq-supervise",
    "SETTINGS": "app.worker.Settings",
    "NAME": "app",
}


def print_unit(settings: str, name: str, is_template: bool) -> str:
    """The unit's text for this host: for one pool, or the template `arq-supervise@.service` for several."""
    values = {
        "USER": getpass.getuser(),
        "GROUP": grp.getgrgid(os.getgid()).gr_name,
        "DIRECTORY": os.getcwd(),
        "COMMAND": shutil.which("arq-supervise") or f"{sys.executable} -m supervisor",
        "SETTINGS": settings,
        "NAME": name,
    }
    return render(values, is_template)


def render(values: dict[str, str], is_template: bool) -> str:
    """The unit's text with these values."""
    file = "arq-supervise@.service" if is_template else "arq-supervise.service"
    text = files("supervisor").joinpath(file).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text
