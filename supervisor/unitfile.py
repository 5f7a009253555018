"""`--print-unit`: the systemd unit with this host's paths."""

import getpass
import grp
import os
import shutil
import sys
from importlib.resources import files


def print_unit(settings: str, name: str, is_template: bool) -> str:
    """The unit's text: for one pool, or the template `arq-supervise@.service` for several."""
    file = "arq-supervise@.service" if is_template else "arq-supervise.service"
    text = files("supervisor").joinpath(file).read_text()
    command = shutil.which("arq-supervise") or f"{sys.executable} -m supervisor"
    values = {
        "USER": getpass.getuser(),
        "GROUP": grp.getgrgid(os.getgid()).gr_name,
        "DIRECTORY": os.getcwd(),
        "COMMAND": command,
        "SETTINGS": settings,
        "NAME": name,
    }
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text
