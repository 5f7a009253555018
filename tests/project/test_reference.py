"""docs/reference is made of the code, and nothing that a user may meet is missing in it."""

import importlib
import inspect

import pytest

from arq import _keys
from arq._key_table import KEYS
from manual.__main__ import PAGES, REFERENCE
from manual.api_pages import MODULES, file_of, public_names
from manual.docstrings import parsed


def test_no_page_is_left_over() -> None:
    assert {path.name for path in REFERENCE.glob("*.md")} == {*PAGES, "index.md"}


# --- keys -----------------------------------------------------------------------------------------------------


def test_every_key_that_is_made_is_in_the_table() -> None:
    blanks = {
        "base": "<queue>:health-check",
        "enqueue_ms": "<ms>",
        "job_id": "<id>",
        "queue_name": "<queue>",
        "schedule_hash": "<hash>",
        "ten_minutes": "<ten minutes>",
        "worker_id": "<worker>",
    }
    found = {
        name: one for name, one in vars(_keys).items() if not name.startswith(("old_", "OLD_", "check_"))
    }
    makers = [one for name, one in found.items() if name.endswith("_key") and inspect.isfunction(one)]
    made = {
        maker(*(blanks.get(name, f"<{name}>") for name in inspect.signature(maker).parameters))
        for maker in makers
    }
    made |= {one for name, one in found.items() if name.endswith("_KEY") and isinstance(one, str)}
    assert len(made) > 20
    names = {key.name for key in KEYS}
    assert made <= names
    of_scripts = {"arq:cron:<queue>:<schedule>"}
    assert names - made == {"<queue>", "arq:abort"} | of_scripts


def test_the_table_has_the_prefixes_that_queues_must_not_have() -> None:
    names = [key.name for key in KEYS]
    assert all(any(name.startswith(prefix) for name in names) for prefix in _keys._PREFIXES)


# --- functions and classes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_offers_is_documented(name: str) -> None:
    page = PAGES[file_of(name)]()
    module = importlib.import_module(name)
    for one in public_names(module):
        _, heading, rest = page.partition(f"\n## {one}\n")
        assert heading
        assert rest.partition("\n## ")[0].strip()


SAID_BY_NAME = {
    "self",
    "cls",
    "queue",
    "job_id",
    "worker_id",
    "name",
    "word",
    "kwargs",
    "settings_cls",
    "redis",
}


@pytest.mark.parametrize("name", ["arq.admin", "arq.connections", "arq.cron", "arq.jobs", "arq.worker"])
def test_where_some_arguments_are_explained_all_are(name: str) -> None:
    """Those whose names do not say it all."""
    module = importlib.import_module(name)
    offered = [getattr(module, one) for one in public_names(module)]
    functions = [
        found for one in offered for found in (vars(one).values() if inspect.isclass(one) else [one])
    ]
    missing = {}
    for function in functions:
        if inspect.isfunction(function) and not function.__name__.startswith("_"):
            said = {
                word for entry in parsed(function.__doc__).sections.get("Args", ()) for word in entry.names
            }
            wanted = inspect.signature(function).parameters.keys() - SAID_BY_NAME
            if said and wanted - said:
                missing[function.__qualname__] = wanted - said
    assert missing == {}


def test_docstrings_are_taken_apart() -> None:
    said = parsed(
        """A text.

        Args:
            one, two (int): a line
                and another one: with a colon.
            *args: more.

        Returns:
            Something.

        Raises:
            ValueError: it is wrong.

        An end.
        """
    )
    assert said.paragraphs == ["A text.", "An end."]
    assert said.entry("Args", "two").text == "a line and another one: with a colon."
    assert said.entry("Args", "*args").text == "more."
    assert said.returns == "Something."
    with pytest.raises(LookupError, match="says nothing of 'three'"):
        said.entry("Args", "three")
