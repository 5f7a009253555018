"""The check of the built manual finds what it is to find."""

from pathlib import Path

import pytest

from manual.site import faults


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('<a href="other.html">', ["index.html: other.html leads nowhere"]),
        ('<a href="#there">', ["index.html: #there leads nowhere"]),
        ('<a href="#here"><p id="here"><a href="index.html#here">', []),
        ('<a href="https://redis.io/#there">', []),
        ('<script src="//cdn.example/x.js"></script>', ["index.html loads //cdn.example/x.js from another server"]),
        ('<link href="https://a.example/x.css">', ["index.html loads https://a.example/x.css from another server"]),
        ('<img src="data:image/png;base64,AA">', []),
    ],
)  # fmt: skip
def test_links_that_lead_nowhere_and_other_servers(tmp_path: Path, text: str, said: list[str]) -> None:
    (tmp_path / "index.html").write_text(text)
    assert list(faults(tmp_path)) == said
