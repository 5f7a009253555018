"""The test suites of packages that build on arq pass on this arq, as they are. More of them: `make test-others`."""

from __future__ import annotations

import pytest

from tests.compat import others


@pytest.mark.interop
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", others.DOWNLOADED)
def test_suite(name: str) -> None:
    suite = others.SUITES[name]
    outcome = others.run(suite)
    assert outcome.failed == 0, outcome.text
    assert outcome.passed >= suite.tests, outcome.text


def test_what_a_developer_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert others.main(["unheard-of"]) == 2
    assert "known are: sentry-sdk" in capsys.readouterr().out


def test_counts_are_read() -> None:
    outcome = others._read("==== 2 failed, 62 passed, 106 warnings, 1 error in 44.66s ====")
    assert (outcome.passed, outcome.failed) == (62, 3)
