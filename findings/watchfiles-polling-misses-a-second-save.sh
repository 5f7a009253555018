#!/usr/bin/env bash
# watchfiles, polling: what is saved again within the same second of the clock is never reported.
#
# Most would guess: polling is slower than inotify, no more. A file that changes twice 0.4 s apart is reported twice, or
#   once after the second change, since its size and its time in nanoseconds are both new.
# What is so: the poller compares modification times in whole seconds. A save that falls into the second of a save that
#   was reported already is lost, for ever: with another content, another size, and looks at the file every 50 ms.
# Versions: watchfiles 1.1.1 and 1.3.0, Python 3.11, Linux.
# Output seen:
#   inotify: reported contents ['two', 'three, and longer']
#   polling: reported contents ['two']
# Why it matters to a queue: containers with bind mounts and network file systems are watched by polling. An editor that
#   saves, and a formatter that saves again 0.3 s later: the workers go on with the text before the formatter (or, after
#   a quick correction, with the broken one) until something else is saved.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check watchfiles==1.3.0
cat >"$work/watch_twice.py" <<'PYTHON'
import os
import sys
import tempfile
import threading
import time

from watchfiles import watch


def contents_reported(polling: bool) -> list[str]:
    folder = tempfile.mkdtemp(dir=sys.argv[1])
    path = os.path.join(folder, "app.py")
    save(path, "one")
    reported: list[str] = []
    first_seen, over = threading.Event(), threading.Event()

    def follow() -> None:
        for changes in watch(folder, force_polling=polling, poll_delay_ms=50, step=20, stop_event=over,
                             rust_timeout=200, yield_on_timeout=True):
            if changes:
                with open(path) as file:
                    reported.append(file.read())
                first_seen.set()

    thread = threading.Thread(target=follow)
    thread.start()
    time.sleep(1.5)  # the poller has looked at everything once
    while True:
        while time.time() % 1 > 0.05:  # both saves within one second of the clock
            time.sleep(0.005)
        save(path, "two")
        first_seen.wait(10)
        if time.time() - os.stat(path).st_mtime < 0.6:
            break
        first_seen.clear()
        reported.clear()
    before = os.stat(path)
    save(path, "three, and longer")
    after = os.stat(path)
    assert int(before.st_mtime) == int(after.st_mtime) and before.st_size != after.st_size
    assert before.st_mtime_ns != after.st_mtime_ns
    time.sleep(4)
    over.set()
    thread.join()
    return reported


def save(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


inotify, polling = contents_reported(False), contents_reported(True)
print("inotify: reported contents", inotify)
print("polling: reported contents", polling)
sys.exit((inotify[-1], polling[-1]) != ("three, and longer", "two"))
PYTHON
"$work/venv/bin/python" "$work/watch_twice.py" "$work"
