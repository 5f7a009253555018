"""One table of options: what is made of it agrees with it, and a new option is a change in one file."""

import math
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest

import supervisor
from supervisor.cli import cli
from supervisor.click_options import PAGES
from supervisor.commands.print_unit import carried_words
from supervisor.early_stop import QUESTIONS
from supervisor.option_row import ROW, Kind, Row, Subject, shown
from supervisor.options import POOL, QUESTION, OptionError, Options, Question
from supervisor.pool_names import pool_name
from tests.support.programs import ROOT

ROWS = (*POOL, *QUESTION)
ON_COMMAND_LINE = [row for row in ROWS if row.flags]
CLICK: dict[str, click.Option] = {
    name: one for one in cli.params if isinstance(one, click.Option) for name in one.opts
}
# with a condition of their own, which the two tests of ranges would run into
NEEDS = {"--backoff-max": {"backoff_base_s": 0.01}, "--backoff-base": {"backoff_max_s": 1e9}}


def ids(row: Row) -> str:
    return row.name


def allowed_value(row: Row) -> str:
    """Some value that is not the default."""
    if row.choices:
        return row.choices[-1] if row.choices[-1] != row.default else row.choices[0]
    return {Kind.NUMBER: "1", Kind.COUNT: "1", Kind.FLAG: ""}.get(row.kind, "some.word")


def make_options(values: dict[str, Any]) -> Options:
    """A pool with these options."""
    return Options(**{"settings": "app.Settings", **values})


def test_every_field_has_its_own_row_and_every_row_its_field() -> None:
    for options, rows in ((Options, POOL), (Question, QUESTION)):
        assert [one.name for one in fields(options)] == [row.name for row in rows]
        assert len({id(one.metadata[ROW]) for one in fields(options)}) == len(rows)
    for unique in ("name", "option", "env"):
        assert Counter(getattr(row, unique) for row in ROWS).most_common(1)[0][1] == 1


def test_the_command_line_has_the_options_of_the_table_and_no_other() -> None:
    told = {name for row in ON_COMMAND_LINE for name in row.flags.split("/")[0].split()}
    assert set(CLICK) == told | {"-V", "--version", "--preload"}


@pytest.mark.parametrize("row", ON_COMMAND_LINE, ids=ids)
def test_the_environment_says_the_same(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    value = allowed_value(row) or "1"
    monkeypatch.setenv(row.env, value)
    params = cli.make_context("arq-supervise", []).params
    given = params["words"][0] if row.name == "settings" else params[row.name]
    expected: Any = {Kind.NUMBER: 1.0, Kind.COUNT: 1, Kind.TEXTS: (value,)}.get(row.kind, value)
    assert given == (True if row.kind is Kind.FLAG and not row.choices else expected)


def test_no_other_variable_says_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cli.make_context("arq-supervise", []).params
    for row in ON_COMMAND_LINE:
        name = f"ARQ_SUPERVISE_{row.name.upper()}"
        if name not in {other.env for other in ROWS}:
            monkeypatch.setenv(name, "1")
    assert cli.make_context("arq-supervise", []).params == before


@pytest.mark.parametrize(
    ("words", "order", "surge"),
    [
        (("--reload-order", "start-first"), "start-first", None),
        (("--reload-surge", "2"), None, 2),
        ((), "stop-first", 0),
        (("--reload-order", "start-first", "--reload-surge", "3"), "start-first", 3),
    ],
)
def test_the_command_line_wins_over_the_other_spelling_in_the_environment(
    words: tuple[str, ...], order: str | None, surge: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARQ_SUPERVISE_RELOAD_ORDER", "stop-first")
    monkeypatch.setenv("ARQ_SUPERVISE_RELOAD_SURGE", "0")
    params = cli.make_context("arq-supervise", list(words)).params
    assert (params["reload_order"], params["reload_surge"]) == (order, surge)


@pytest.mark.parametrize("row", [row for row in POOL if row.flags and row.name != "settings"], ids=ids)
def test_the_defaults_are_those_of_a_pool_made_in_python(row: Row) -> None:
    given = cli.make_context("arq-supervise", []).params[row.name]
    if row.name == "procs":
        assert given is None  # `auto`
    elif row.choices and row.kind is Kind.FLAG:
        assert given == row.choices[row.default]
    else:
        assert (
            given
            == getattr(Options("app.Settings", name=row.default if row.name == "name" else "x"), row.name)
            or not given
        )


@pytest.mark.parametrize("row", [row for row in POOL if row.least > -math.inf], ids=ids)
def test_the_range_is_kept_to_the_end(row: Row) -> None:
    more = NEEDS.get(row.option, {})
    if row.name not in ("hang_timeout_s", "backoff_max_s"):  # these are held against another option
        make_options({row.name: row.least, **more})
    for value in (row.least - 1, *([row.most + 1] if row.most < math.inf else [])):
        with pytest.raises(
            OptionError, match=re.escape(f"{row.option} {shown(value)}: must be {row.limits}")
        ):
            make_options({row.name: value, **more})


@pytest.mark.parametrize("row", POOL, ids=ids)
def test_a_value_of_another_kind_is_named(row: Row) -> None:
    with pytest.raises(OptionError, match=f"^{row.label} <object .*: must be {row.kind}$"):
        make_options({row.name: object()})


def help_text() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout


def test_help_has_every_option_in_its_group() -> None:
    text = help_text()
    assert max(map(len, text.splitlines())) <= 80
    groups = dict(re.findall(r"^([A-Z][\w ]+):\n((?:  .*\n)+)", text, re.MULTILINE))
    assert list(groups) == list(Subject)
    for row in ON_COMMAND_LINE:
        pattern = rf"^  (?:-\w, )?{row.option}\b(?!-)(.*\n(?:   +.*\n)*)"
        (entry,) = re.findall(pattern, groups[row.subject], re.MULTILINE)
        said = " ".join(entry.split())
        assert row.name == "settings" or row.help in said
        assert f"[default: {row.shown_default}]" in said or not row.shown_default
        assert row.kind is Kind.FLAG or said.startswith(row.unit or f"[{'|'.join(row.choices)}]")


def test_help_names_pages_of_the_manual() -> None:
    assert all((ROOT / page).is_file() for page in PAGES)
    assert all(page in help_text() for page in PAGES)
    explained = {subject for subjects in PAGES.values() if subjects != tuple(Subject) for subject in subjects}
    assert explained | {Subject.WEB} == set(Subject)


def test_the_docstring_has_every_argument() -> None:
    text = Options.__doc__ or ""
    assert supervisor.Options is Options
    for row in POOL:
        (entry,) = re.findall(rf"^    {row.name} \((.*)\): (.*)\n        (.*)$", text, re.MULTILINE)
        about, outside, said = entry
        assert said == row.help
        assert row.label in outside
        assert (row.allowed or row.limits) in about or row.kind is Kind.FLAG
        assert "default" in about or about.endswith("required")
    assert "OptionError" in text.partition("Raises:")[2]


@pytest.mark.parametrize("row", ON_COMMAND_LINE, ids=ids)
def test_what_belongs_to_the_pool_is_carried_into_its_unit(row: Row) -> None:
    words = [row.option, *filter(None, [allowed_value(row)])]
    words = words if "/" not in row.flags else [row.flags.partition("/")[2]]
    context = cli.make_context("arq-supervise", list(words))
    is_carried = row in POOL and row.name not in ("settings", "name")  # which the unit says itself
    carried = carried_words(context)
    assert carried == (tuple(words) if is_carried else ())


def test_an_interrupted_question_is_known_before_the_table_is() -> None:
    asking = {row.option for row in QUESTION if row.is_question}
    assert {"--help", *asking} == QUESTIONS


FIELD = (
    '    sparkle: int = count(3, "--sparkle", Subject.REDIS, "Sparks in a second.", 1, most=9, usual="4")\n'
)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with one option more."""
    folder = tmp_path_factory.mktemp("grown")
    shutil.copytree(ROOT / "supervisor", folder / "supervisor", ignore=shutil.ignore_patterns("__pycache__"))
    table = folder / "supervisor" / "options.py"
    before, after, rest = table.read_text().partition("    # fmt: on\n")
    table.write_text(before + FIELD + after + rest)
    (folder / "shop.py").write_text("async def f(ctx): ...\nclass Settings: functions = [f]\n")
    return folder


@pytest.mark.parametrize(
    ("words", "environ", "said"),
    [
        (("--help",), {}, r"Redis:\n(?s:.*)  --sparkle N +Sparks in a second\.  \[default: 3\]"),
        (("shop.Settings", "--sparkle", "10"), {}, r"^arq-supervise: --sparkle 10: must be between 1 and 9$"),
        (("shop.Settings",), {"ARQ_SUPERVISE_SPARKLE": "0"}, r"--sparkle 0: must be between 1 and 9"),
        (("shop.Settings", "--print-unit", "--sparkle", "5"), {}, r"ExecStart=.* --sparkle 5$"),
        (("shop.Settings", "--print-unit"), {}, r"ExecStart=.* --sparkle 4"),
    ],
    ids=["help", "range", "environment", "unit", "unit without"],
)
def test_a_new_option_is_one_field(
    grown: Path, words: tuple[str, ...], environ: dict[str, str], said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", *words],
        capture_output=True, text=True, check=False, cwd=grown, env={"PYTHONPATH": f"{grown}:{ROOT}", **environ},
    )  # fmt: skip
    assert re.search(said, done.stdout + done.stderr, re.MULTILINE), done.stdout + done.stderr


def test_a_new_option_is_in_the_manual_and_in_the_docstring(grown: Path) -> None:
    code = "import supervisor, supervisor.commands.options_page as o; print(supervisor.Options.__doc__, o.page())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=grown,
        env={"PYTHONPATH": str(grown)},
    )
    assert (
        "    sparkle (int, between 1 and 9, default 3): --sparkle\n        Sparks in a second.\n"
        in done.stdout
    )
    assert (
        "| `--sparkle` | Sparks in a second. | number | between 1 and 9 | 3 | `ARQ_SUPERVISE_SPARKLE` |"
        " `4` if not given | `sparkle` |\n" in done.stdout
    )


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("--procs", {"procs": 0}),
        ("--procs", {"procs": 5000}),
        ("--name", {"name": "a/b"}),
        ("--min-ready", {"procs": 2, "min_ready": 3}),
        ("--boot-timeout", {"boot_timeout_s": 0.0}),
        ("--boot-timeout", {"boot_timeout_s": float("nan")}),
        ("--kill-timeout", {"kill_timeout_s": -1.0}),
        ("--hang-timeout", {"hang_timeout_s": 0.5}),
        ("--backoff-max", {"backoff_base_s": 5.0, "backoff_max_s": 1.0}),
        ("--max-restarts", {"max_restarts": -1}),
        ("--reload-surge", {"reload_surge": -1}),
        ("--reload-surge", {"reload_surge": 0, "reload_order": "start-first"}),
        ("--reload-surge", {"reload_surge": 2, "reload_order": "stop-first"}),
        ("--reload-order", {"reload_order": "both"}),
        ("--embedded-redis-dir", {"embedded_redis_dir": "d"}),
        ("--child-oom-score-adj", {"child_oom_score_adj": -5}),
    ],
)
def test_an_option_out_of_range_is_named(option: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"^{option} .*: must be "):
        Options("app.Settings", **wrong)


def test_what_follows_from_other_options() -> None:
    options = Options("shop.jobs:Settings", procs=3)
    assert (options.name, options.ready_needed, options.restarts_allowed) == ("shop.jobs.Settings", 3, 15)
    assert pool_name("a" * 100) == "a" * 64
