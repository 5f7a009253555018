"""The units in systemd/ are what `--print-unit` prints, for an application in /srv/app."""

from pathlib import Path

import pytest

from supervisor.unitfile import EXAMPLE, render

FOLDER = Path(__file__).parent.parent / "systemd"


@pytest.mark.parametrize(
    ("name", "is_template"), [("arq-supervise.service", False), ("arq-supervise@.service", True)]
)
def test_units_are_up_to_date(name: str, is_template: bool) -> None:
    assert (FOLDER / name).read_text() == render(EXAMPLE, is_template)


def test_units_name_each_other() -> None:
    template = (FOLDER / "arq-supervise@.service").read_text()
    assert "PartOf=arq-supervise.target" in template
    assert "WantedBy=arq-supervise.target" in template
    assert "Slice=arq.slice" in template
    assert (FOLDER / "arq-supervise.target").exists()
    assert (FOLDER / "arq.slice").exists()
