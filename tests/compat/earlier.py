"""Earlier states of this project, from its history: their workers run beside ours while a fleet is upgraded."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.compat.harness import ROOT, Implementation

#: Revision -> what tells its workers from ours: where they say that they live, and how they note what they hold.
REVISIONS = {
    "49a2d5c": "a register and tokens under names of its own, a note for each job",
    "6f28289": "our register, a note for each job",
}


class NoHistoryError(RuntimeError):
    """This checkout does not have that revision."""


def earlier(revision: str, directory: Path) -> Implementation:
    """The arq of a revision under the interpreter that runs the tests.

    Raises:
        NoHistoryError: there is no such revision here.
    """
    done = subprocess.run(
        ["git", "archive", revision, "arq"], cwd=ROOT, capture_output=True, check=False, timeout=60
    )
    if done.returncode:
        raise NoHistoryError(f"no {revision} here: {done.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(directory, filter="data")
    return Implementation(f"at-{revision}", sys.executable, str(directory))
