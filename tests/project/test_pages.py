"""Pages for readers name what is there: files, headings, tests, and the names that no queue may have."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from arq._key_table import KEYS
from arq._keys import check_queue_name
from manual import findings_page
from manual.__main__ import PAGES as MADE
from manual.__main__ import REFERENCE, text_of
from manual.environment_page import INTERNAL, READ, SET
from manual.performance_tables import README, with_tables
from supervisor.option_row import ENVIRONMENT
from supervisor.options import ROWS
from tests.docs.blocks import blocks_of
from tests.support.packages import PACKAGES
from tests.support.programs import ROOT
from tests.support.source import modules

TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT, check=True, capture_output=True, text=True,
).stdout.splitlines()  # fmt: skip
PAGES = [name for name in TRACKED if name.endswith(".md") and not name.startswith("benchmarks/results/")]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
SOURCE = re.compile(r"[\w./-]*\w\.(?:py|lua)")
NOT_OURS = {"app.py", "arq.py", "supervisor.py"}  # a reader's own


def anchors(page: str) -> set[str]:
    """What a link may name behind `#`."""
    titles = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    broken = []
    for link in LINK.findall((ROOT / page).read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(str(target.relative_to(ROOT)))):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES)
def test_source_files_that_are_named_are_there(page: str) -> None:
    named = {code for code in CODE.findall((ROOT / page).read_text()) if SOURCE.fullmatch(code)}
    here = {str(path) for name in TRACKED for path in (Path(name), *Path(name).parents)}
    ends = {"/".join(Path(name).parts[start:]) for name in here for start in range(len(Path(name).parts))}
    of_the_page = {block.file for block in blocks_of(ROOT / page)}
    assert not {code for code in named - NOT_OURS - of_the_page if code.removeprefix("./") not in ends}


IN_A_LIST = re.compile(r"^(?:[*-]|\d+\.) \[[^]]+\]\(([^)#:]+\.md)\)", re.MULTILINE)


def test_every_page_of_the_manual_is_in_a_list() -> None:
    """Of an index.md, or of the decisions: that is the navigation."""
    lists = [
        page for page in PAGES if page.startswith("docs/") and page.endswith(("/index.md", "/README.md"))
    ]
    named = {
        str(((ROOT / page).parent / link).resolve().relative_to(ROOT))
        for page in lists
        for link in IN_A_LIST.findall((ROOT / page).read_text())
    }
    assert {page for page in PAGES if page.startswith("docs/")} - named == {"docs/index.md"}


DOTTED = re.compile(r"_?\w+(?:\.\w+)*\._?\w+")


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/journeys.md"])
def test_functions_and_methods_that_are_named_are_there(page: str) -> None:
    sources = "\n".join((ROOT / name).read_text() for name in TRACKED if name.endswith(".py") and "/" in name)
    defined = set(re.findall(r"\b(?:def|class) (\w+)", sources))
    codes = {code for code in CODE.findall((ROOT / page).read_text()) if DOTTED.fullmatch(code)}
    functions = {code for code in codes if code.rpartition(".")[2] not in ("py", "lua", "md")}
    assert functions
    assert not {code for code in functions if code.rpartition(".")[2] not in defined}


def test_tests_that_the_list_of_known_bugs_names_are_there() -> None:
    page = (ROOT / "docs" / "compatibility.md").read_text()
    (home,) = re.findall(r"Each has a test in `([^`]+)`", page)
    tests = set(re.findall(r"^(?:async )?def (test_\w+)", (ROOT / home).read_text(), re.MULTILINE))
    named = re.findall(r"`(test_B\d+_[\w.]*)`", page)
    assert len(named) >= 21
    assert not [name for name in named if not any(test.startswith(name.rstrip(".")) for test in tests)]


@pytest.mark.parametrize("name", sorted(MADE))
def test_pages_of_reference_are_made_of_the_code(name: str) -> None:
    assert (REFERENCE / name).read_text() == text_of(name), "run: python -m manual"


def test_the_list_of_findings_is_made_of_their_scripts() -> None:
    assert findings_page.PAGE.read_text() == findings_page.page(), "run: python -m manual"


def test_numbers_of_the_readme_are_those_that_were_measured() -> None:
    text = README.read_text()
    assert text == with_tables(text), "run: python -m manual"


VARIABLE = re.compile(r"_?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
NO_VARIABLES = {
    "ARQ_SUPERVISE", "ARQ_SUPERVISE_SETTINGS", "LONG_BINPUT", "RAISE_VARARGS", "SC_CLK_TCK", "SC_PAGE_SIZE",
    "SO_PEERCRED", "START_S", "STOP_S",
}  # fmt: skip


def test_every_environment_variable_is_on_its_page() -> None:
    named = {
        node.value
        for module in modules("_arq_supervise", "arq", "supervisor")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value)
    }
    known = {*READ, *SET, *INTERNAL}
    assert named - NO_VARIABLES == known, "rows of manual/environment_page.py"
    page = text_of("environment.md")
    assert all(f"`{row.env}`" in page for row in ROWS.values())
    assert ENVIRONMENT in page


SAMPLES = {"hash": "0123456789ab", "schedule": "0123456789ab", "slot": "3"}


def keys_of_ours() -> list[str]:
    """What the table lists as keys of ours, with something in the blanks."""
    names = [key.name for key in KEYS if key.is_ours]
    return [re.sub(r"<([^>]+)>", lambda blank: SAMPLES.get(blank[1], "x"), name) for name in names]


@pytest.mark.parametrize("key", keys_of_ours())
def test_keys_of_ours_are_refused_as_queues(key: str) -> None:
    with pytest.raises(ValueError, match="can't be the name of a queue"):
        check_queue_name(key)


def test_the_architecture_page_has_one_line_for_each_package() -> None:
    """The first of its docstring."""
    packages = {
        str(Path(name).parent): ast.get_docstring(ast.parse((ROOT / name).read_text())) or ""
        for name in TRACKED
        if name.endswith("/__init__.py") and name.split("/")[0] in PACKAGES
    }
    rows = dict(
        re.findall(r"^\| `([\w/]+)/` \| (.+) \|$", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE)
    )
    assert rows == {package: text.split("\n")[0] for package, text in packages.items()}
