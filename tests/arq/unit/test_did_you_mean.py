"""What may have been meant by a path or a setting that is wrong."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from arq._did_you_mean import path_hint, slips
from arq.connections import create_pool
from arq.utils import import_string
from arq.worker import Worker, option_names

WORKER = """
async def job(ctx): pass
class WorkerSettings:
    functions = [job]
"""


# what is called settings is none
ODD = """
from arq.connections import RedisSettings
async def job(ctx): pass
class Odd:
    cron_jobs: list = []
    functions = [job]
mode = {"functions": [job]}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package `hintshop` in the working directory, with settings in its module `worker`."""
    (tmp_path / "hintshop").mkdir()
    (tmp_path / "hintshop" / "__init__.py").touch()
    (tmp_path / "hintshop" / "worker.py").write_text(WORKER)
    (tmp_path / "hintsolo.py").write_text(WORKER)
    (tmp_path / "hintodd.py").write_text(ODD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield
    for name in [name for name in sys.modules if name.startswith("hints")]:
        del sys.modules[name]


RIGHT = "hintshop.worker.WorkerSettings"
PATHS = [
    ("hintshop/worker.py", f"as in {RIGHT}"),
    ("./hintsolo.py", "as in hintsolo.WorkerSettings"),
    ("hintsolo.py", "as in hintsolo.WorkerSettings"),
    ("WorkerSettings", "as in hintsolo.WorkerSettings"),
    ("Nothing", "give package.module.Settings"),
    ("hintshp.worker.WorkerSettings", f"did you mean {RIGHT}?"),
    ("hintshop.wroker.WorkerSettings", f"did you mean {RIGHT}?"),
    ("hintshop.worker.WorkerSetings", f"did you mean {RIGHT}?"),
    ("hintshop.worker.Main", f"did you mean {RIGHT}?"),
    ("hintodd.py", "as in hintodd.Odd"),
    ("hintodd", "as in hintodd.Odd"),
    ("hintodd.RedisSetings", "did you mean hintodd.Odd?"),
    ("hintodd.made", "did you mean hintodd.mode?"),
]


@pytest.mark.parametrize(("path", "said"), PATHS)
def test_a_wrong_path_is_answered_with_a_right_one(package: None, path: str, said: str) -> None:
    with pytest.raises(ImportError) as caught:
        import_string(path)
    assert said in path_hint(path, caught.value)


def test_an_error_of_the_module_itself_is_not_explained_away(package: None) -> None:
    Path("hintshop/broken.py").write_text("import hintnothing\n")
    with pytest.raises(ModuleNotFoundError) as caught:
        import_string("hintshop.broken.Settings")
    assert path_hint("hintshop.broken.Settings", caught.value) == ""


def test_a_submodule_that_nobody_has_imported_is_found(package: None) -> None:
    assert import_string("hintshop.worker").WorkerSettings.functions
    Path("hintshop/broken.py").write_text("import hintnothing\n")
    with pytest.raises(ModuleNotFoundError, match="hintnothing"):
        import_string("hintshop.broken")
    with pytest.raises(ImportError, match='does not define a "other" attribute'):
        import_string("hintshop.other")


class Slipped:
    max_job = 5
    on_start_up = None
    functions = ()
    database = "a name of the user's own"
    timeout = 5
    max_jobs_of_mine = 3


def test_what_is_nearly_a_setting_is_noticed_and_nothing_else() -> None:
    assert slips(Slipped, option_names()) == {"max_job": "max_jobs", "on_start_up": "on_startup"}
    assert slips({"quene_name": "q"}, option_names()) == {"quene_name": "queue_name"}
    assert slips({"max_job": 3, "max_jobs": 3}, option_names()) == {}


async def job(ctx: object) -> None:
    """Nothing."""


def not_async(ctx: object) -> None:
    """Nothing, and not asynchronously."""


WRONG = [
    ({"max_jobs": "ten"}, "max_jobs must be"),
    ({"max_tries": "ten"}, "max_tries must be a number, not 'ten'"),
    ({"max_burst_jobs": "ten"}, "max_burst_jobs must be a number, not 'ten'"),
    ({"queue_read_limit": "ten"}, "queue_read_limit must be a number, not 'ten'"),
    ({"job_timeout": "ten"}, "job_timeout must be"),
    ({"job_completion_wait": "ten"}, "job_completion_wait must be"),
    ({"redis_settings": "redis://me:secret@host"}, r"RedisSettings\.from_dsn"),
    ({"functions": [not_async]}, r"test_did_you_mean\.not_async is not a coroutine function"),
]


@pytest.mark.parametrize(("options", "said"), WRONG)
def test_a_wrong_value_is_told_with_its_setting(options: dict[str, object], said: str) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError), match=said) as caught:
        Worker(**{"functions": [job], **options})  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


async def test_a_pool_takes_no_address_either() -> None:
    with pytest.raises(TypeError, match=r"RedisSettings\.from_dsn"):
        await create_pool("redis://me:secret@host")  # type: ignore[arg-type]
