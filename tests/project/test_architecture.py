"""The shape of the source, checked: who may import whom, what stays free of I/O, how long things may get."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.support.programs import ROOT
from tests.support.source import FunctionNode, Module, body_lines, modules

PRODUCT = modules("arq", "supervisor")
BY_NAME = {module.name: module for module in PRODUCT}

# These decide and compute. Time reaches them as an argument, the world not at all.
PURE = (
    "arq._admin.merging",
    "arq._admin.preview",
    "arq._admin.records",
    "arq._admin.restricted",
    "arq._admin.shown",
    "arq._admin.times",
    "arq._cron_calendar",
    "arq._cron_table",
    "arq._errors",
    "arq._function",
    "arq._health_line",
    "arq._key_table",
    "arq._keys",
    "arq._lock_time",
    "arq._option_types",
    "arq._dead_letters",
    "arq._payloads.codecs",
    "arq._payloads.data_types",
    "arq._payloads.importable_modules",
    "arq._payloads.exception_records",
    "arq._payloads.plain_json",
    "arq._payloads.plain_pickles",
    "arq._payloads.portable_exceptions",
    "arq._payloads.pydantic_values",
    "arq._payloads.signed_envelope",
    "arq._payloads.tagged_values",
    "arq._job_records",
    "arq._job_statistics",
    "arq._memo",
    "arq._payloads.unreadable_records",
    "arq._redis.batch_sizes",
    "arq._redis.declared_keys",
    "arq._redis.key_prefix",
    "arq._redis.rendezvous",
    "arq._redis.user_rights",
    "arq._retry_options",
    "arq._printable",
    "arq._types",
    "arq._payloads.pickle_errors",
    "arq._payloads.serialization",
    "arq._endings",
    "arq._worker.redis_clock",
    "arq._worker.cron_planner",
    "arq._worker.option_limits",
    "arq._worker.function_registry",
    "arq._worker.settings",
    "arq._worker.unknown_function",
    "arq._worker.system_timezone",
    "arq.constants",
    "arq.cron",
    "arq.version",
    "supervisor.addresses",
    "supervisor.commands.check_fleet",
    "supervisor.commands.check_verdict",
    "supervisor.control.protocol",
    "supervisor.exit_codes",
    "supervisor.log_events",
    "supervisor.metric_table",
    "supervisor.ipc.codec",
    "supervisor.ipc.frames",
    "supervisor.ipc.job_stats",
    "supervisor.ipc.messages",
    "supervisor.ipc.pipes",
    "supervisor.ipc.roster",
    "supervisor.option_row",
    "supervisor.options",
    "supervisor.pool.restart_backoff",
    "supervisor.pool.restart_limit",
    "supervisor.pool.dev_restart",
    "supervisor.pool.escalation",
    "supervisor.pool.events",
    "supervisor.pool.exit_records",
    "supervisor.pool.exits",
    "supervisor.pool.give_up",
    "supervisor.pool.hang",
    "supervisor.pool.job_counts",
    "supervisor.pool.job_kills",
    "supervisor.pool.lifecycle",
    "supervisor.pool.machine",
    "supervisor.pool.recent_maximum",
    "supervisor.pool.recycling",
    "supervisor.pool.resize",
    "supervisor.pool.rollout",
    "supervisor.pool.shutdown",
    "supervisor.pool.spares",
    "supervisor.pool.parent_stall",
    "supervisor.pool.state",
    "supervisor.pool.status",
    "supervisor.pool.status_line",
    "supervisor.pool.stop_budget",
    "supervisor.pool_names",
    "supervisor.printable_text",
    "supervisor.worker_id",
)
# conversions, beside `poll()` which is arq's and needs asyncio
HARMLESS = {"arq.utils"}
IMPURE_MODULES = {
    "asyncio",
    "os",
    "redis",
    "selectors",
    "signal",
    "socket",
    "subprocess",
    "threading",
    "time",
    "uvloop",
}

MODULE_LINES = 300
TEST_LINES = 500
FUNCTION_LINES = 40
# Each exemption with its reason. One that is no longer needed fails, too.
LONGER_MODULES: dict[str, int] = {}
LONGER_FUNCTIONS = {
    "arq._worker.options.WorkerOptions.__init__": 57,  # 34 parameters, one line each
}
KEY_PREFIXES = (
    "abort",
    "audit",
    "pool",
    "pools",
    "claims",
    "control",
    "crashes",
    "cron",
    "crons",
    "crons-paused",
    "epoch",
    "in-progress",
    "interrupted",
    "job",
    "kept",
    "leases",
    "left",
    "lookers",
    "paused",
    "quarantine",
    "queue",
    "result",
    "retry",
    "stats",
    "ticks",
    "wake",
    "workers",
)


# The modules of `arq`, the ground first: one may import those of its own layer and of the layers before it, also lazily
# and for the type checker only.
ARQ_LAYERS = {
    "ground": (
        "_crash_records _dead_letters _did_you_mean _endings _errors _file_polling _function _health_line "
        "_interrupt_origin _job_records _job_statistics _key_table _keys _lock_time _lua_interpreter _memo "
        "_lua_interpreter.machine _lua_interpreter.syntax "
        "_lua_interpreter.tree _option_types _payloads _printable _pyinstaller _pyinstaller.hook-arq "
        "_pyinstaller.hook-supervisor _redis _redis.batch_sizes _redis.declared_keys "
        "_redis.key_prefix _redis.rendezvous _redis.reply_timeout "
        "_redis.user_rights _reexported_names _retry_options _types constants logs utils version"
    ),
    "schedules": ("_cron_calendar _cron_table cron typing"),
    "bytes of jobs": (
        "_payloads.aborted_result _payloads.codecs _payloads.data_types "
        "_payloads.importable_modules _payloads.exception_records _payloads.pydantic_values "
        "_payloads.keyring _payloads.payload_format _payloads.payload_options _payloads.pickle_errors "
        "_payloads.plain_json _payloads.plain_pickles "
        "_payloads.portable_exceptions _payloads.serialization _payloads.signed_envelope _payloads.tagged_values "
        "_payloads.unreadable_records codecs"
    ),
    "server and scripts": (
        "_queue_pause _redis.connection_pools _redis.early_answers _redis.plain_io _redis.raw_commands "
        "_redis.redis_errors _redis.script_loader _redis.script_runner _redis.scripts "
        "_redis.server_errors _redis.without_lua"
    ),
    "connections": (
        "_loop_exits _redis.blocking_client _redis.enqueue_batcher _redis.membership _redis.producer_connection "
        "_redis.cluster _redis.cluster_client "
        "_redis.pool_reports _redis.server_probe _redis.settings _redis.shard_settings _redis.single_enqueue "
        "_redis.tracing _redis.worker_connection"
    ),
    "producer": ("_connect _enqueue _result_lookups connections jobs shards"),
    "operators": (
        "_admin _admin.actions _admin.admin_scripts _admin.audit _admin.counting _admin.crons _admin.dead "
        "_admin.details _admin.fan_out _admin.filters _admin.job_lists _admin.listing _admin.merged_jobs "
        "_admin.merging _admin.off_loop _admin.overview _admin.pauses _admin.pools _admin.preview "
        "_admin.queues _admin.records _admin.restricted _admin.running _admin.server _admin.shown "
        "_admin.stats _admin.times _admin.trust _admin.workers admin"
    ),
    "dashboard": (
        "_web _web.about_pages _web.access _web.acting _web.actions _web.advice _web.alone _web.answers "
        "_web.application _web.at_prefix _web.charts _web.chosen _web.doing _web.fleet_pages _web.forms "
        "_web.function_pages "
        "_web.guards _web.job_pages _web.json_form _web.links _web.login _web.lookups _web.masking _web.options "
        "_web.overview_pages _web.pages _web.rendering _web.searches _web.server _web.servers _web.session "
        "_web.view web"
    ),
    "parts of a worker": (
        "_worker _worker.abort_requests _worker.arq_compatibility _worker.attempt _worker.bad_items "
        "_worker.batches _worker.blocked_loop _worker.blocked_loop_report _worker.claim_size _worker.claims "
        "_worker.closing "
        "_worker.commit_and_claim _worker.connecting _worker.context _worker.crash_suspects _worker.cron_planner "
        "_worker.cron_rules _worker.cron_ticks _worker.dead_evictions _worker.dead_set_policy "
        "_worker.duty_times _worker.ending_writer _worker.finish_override _worker.forwarded_attributes "
        "_worker.function_registry "
        "_worker.health_check _worker.health_writer _worker.hooks _worker.idle _worker.job _worker.job_log "
        "_worker.job_slots _worker.job_table _worker.job_timeout _worker.leftover_threads _worker.locks "
        "_worker.main_loop _worker.main_task _worker.operators _worker.option_limits _worker.options _worker.outcomes "
        "_worker.periodic_tasks _worker.poll_schedule _worker.quarantine _worker.quick_log "
        "_worker.reconnect_backoff _worker.redis_clock _worker.redis_outage _worker.repeated_errors "
        "_worker.result_payload _worker.retry_policy _worker.run_coroutine _worker.semaphore _worker.settings "
        "_worker.shutdown "
        "_worker.statistics_writer "
        "_worker.stop_signals _worker.system_timezone _worker.unknown_function _worker.unreadable_jobs "
        "_worker.unwritten_endings _worker.waiting_claim _worker.wake_tokens"
    ),
    "worker": ("worker"),
    "commands for operators": (
        "_commands _commands.acl _commands.act _commands.admins _commands.audit _commands.choice _commands.crons "
        "_commands.dead _commands.exit_codes "
        "_commands.jobs_shown _commands.ls _commands.operators _commands.output _commands.pause "
        "_commands.reference_page _commands.several_servers "
        "_commands.show _commands.stats _commands.target _commands.usage_error "
        "_commands.watch _commands.web _commands.workers"
    ),
    "command": ("__init__ __main__ cli"),
}
# The packages of `supervisor`, each with those that its modules may import beside their own; other modules stand on the
# ground, which may import `host` only, but for the command itself, which may import all.
SUPERVISOR_LAYERS = {
    "host": "ground",
    "pool": "ground host",
    "ipc": "ground host pool",
    "control": "ground host pool",
    "process": "ground host pool ipc",
    "children": "ground host pool ipc control process",
    "commands": "ground host pool ipc control process children",
    "parent": "ground host pool ipc control process children",
}
SUPERVISOR_TOP = {"supervisor", "supervisor.__main__", "supervisor.cli", "supervisor.click_options"}


# The parts of a worker: they get what they need from `arq._worker.main_loop` and `arq.worker`, which put them together.
WORKER_PARTS = (
    "abort_requests blocked_loop_report claim_size claims closing cron_ticks periodic_tasks health_writer idle job "
    "locks operators redis_outage shutdown"
)


def imported(module: Module, *, lazy: bool = True, typing: bool = False) -> set[str]:
    """Modules of this project that `module` imports when it runs, or also when types are checked."""
    found = {
        one.module
        for one in module.imports()
        if one.module in BY_NAME and (typing or not one.typing) and (lazy or not one.lazy)
    }
    return found - {module.name}


def import_graph(package: str, *, lazy: bool = True, typing: bool = True) -> dict[str, set[str]]:
    """Module -> what it imports. A package's `__init__` gathers what its modules define: they do not depend on it."""
    return {
        module.name: {
            other
            for other in imported(module, lazy=lazy, typing=typing)
            if not module.name.startswith(f"{other}.")
        }
        for module in PRODUCT
        if module.name.split(".")[0] == package
    }


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import one another in a ring; none: []."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def packages_of(name: str) -> set[str]:
    """The packages that `name` lies in: their `__init__` runs first, that is no dependency."""
    parts = name.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts))}


def test_no_import_cycles() -> None:
    assert not circle(import_graph("arq"))
    assert not circle(import_graph("supervisor"))


def test_a_circle_would_be_found() -> None:
    """Also one that is closed for the type checker only."""
    graph = import_graph("arq")
    graph["arq._types"] |= {"arq.worker"}
    assert circle(graph)


def test_all_imports_of_arq_go_down() -> None:
    """Each module stands in one layer."""
    names = [name for layer in ARQ_LAYERS.values() for name in layer.split()]
    full_names = ["arq" if name == "__init__" else f"arq.{name}" for name in names]
    layers = [layer for layer, row in enumerate(ARQ_LAYERS.values()) for _ in row.split()]
    layer_of = dict(zip(full_names, layers, strict=True))
    graph = import_graph("arq")
    assert sorted(full_names) == sorted(graph)
    upwards = [
        f"{name} -> {other}"
        for name, found in graph.items()
        for other in found
        if other in layer_of and layer_of[other] > layer_of[name]
    ]
    assert not upwards


def test_the_parts_of_a_worker_know_neither_each_other_nor_the_worker() -> None:
    parts = {f"arq._worker.{name}" for name in WORKER_PARTS.split()}
    graph = import_graph("arq")
    assert parts <= set(graph)
    assemblies = {"arq.worker", "arq._worker.main_loop"}
    knowing = {f"{name} -> {other}" for name in parts for other in graph[name] & (parts | assemblies)}
    assert not knowing


def supervisor_layer(name: str) -> str:
    """The package that a module lies in, or `ground`."""
    part = name.split(".")[1]
    return part if part in SUPERVISOR_LAYERS else "ground"


def may_import(name: str, other: str) -> bool:
    """Is it a module of the same package, or of one below?"""
    mine, its = supervisor_layer(name), supervisor_layer(other)
    return its == mine or its in SUPERVISOR_LAYERS.get(mine, "host").split()


def test_all_imports_of_the_supervisor_go_down() -> None:
    """Also those inside functions, and those for the type checker."""
    upwards = [
        f"{name} -> {other}"
        for name, found in import_graph("supervisor").items()
        if name not in SUPERVISOR_TOP
        for other in found
        if other in SUPERVISOR_TOP or (other.startswith("supervisor.") and not may_import(name, other))
    ]
    assert not upwards


def test_decisions_and_the_parent_never_import_the_settings() -> None:
    """What they import is the user's code. A child does; and so does a command that has no pool to run."""
    importing = {name for name, found in import_graph("supervisor").items() if "supervisor.settings" in found}
    assert {supervisor_layer(name) for name in importing} == {"children", "commands"}


def loose_types(tree: ast.Module) -> list[int]:
    """Lines where something that others see is typed as a dictionary or a list of anything."""
    nodes: list[ast.expr | None] = []
    for node in [
        *tree.body,
        *(inner for outer in tree.body if isinstance(outer, ast.ClassDef) for inner in outer.body),
    ]:
        if isinstance(node, FunctionNode) and not node.name.startswith("_"):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            nodes += [node.returns, *(one.annotation for one in arguments)]
        elif isinstance(node, ast.AnnAssign):
            nodes.append(node.annotation)
    loose = re.compile(r"(dict|Mapping)\[str, Any\]|(list|Iterable|Sequence)\[Any\]")
    return [node.lineno for node in nodes if node is not None and loose.search(ast.unparse(node))]


def test_what_crosses_modules_of_the_supervisor_has_a_type() -> None:
    """Only click hands options over as it found them."""
    found = {
        module.name: loose_types(module.tree)
        for module in PRODUCT
        if module.name.startswith("supervisor.")
        and module.name not in {"supervisor.cli", "supervisor.options"}
    }
    assert not {name: lines for name, lines in found.items() if lines}
    assert loose_types(ast.parse("class A:\n  def f(self, x: int) -> dict[str, Any]: ..."))


def test_the_queue_does_not_know_the_supervisor() -> None:
    knowing = {
        module.name
        for module in PRODUCT
        if module.name.startswith("arq") and any(name.startswith("supervisor") for name in imported(module))
    }
    assert not knowing


def test_only_the_worker_knows_its_parts() -> None:
    knowing = {
        module.name
        for module in PRODUCT
        if any(name.startswith("arq._worker") for name in imported(module))
        and not module.name.startswith("arq._worker")
    }
    assert knowing <= {"arq.worker", "arq.cli"}


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_touch_nothing(name: str) -> None:
    roots = {one.module.split(".")[0] for one in BY_NAME[name].imports() if not one.typing}
    assert not roots & IMPURE_MODULES
    impure_neighbours = imported(BY_NAME[name]) - {*PURE, *HARMLESS, *packages_of(name)}
    assert not impure_neighbours


def test_decisions_load_neither_arq_nor_redis_nor_asyncio() -> None:
    """Also not by way of a package's `__init__`."""
    names = [name for name in PURE if name.startswith("supervisor.")]
    blocked = ("arq", "redis", "asyncio", "click")
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({blocked!r}))\nfor name in {names!r}: __import__(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_submodules_are_imported_from_where_they_are() -> None:
    """Never through the package root: that is how import cycles begin."""
    through_root = {
        f"{module.name} line {node.lineno}"
        for module in PRODUCT
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.module == module.name.split(".")[0] and node.level == 0
    }
    assert not through_root


def test_key_names_have_one_home() -> None:
    """No other module spells a key of arq's: a prefix for all keys must stay a change in one place."""
    homes = {"arq._key_table", "arq._keys", "arq.constants"}
    names = tuple(f"arq:{prefix}" for prefix in KEY_PREFIXES)
    spelled = {
        f"{module.name} line {node.lineno}"
        for module in PRODUCT
        if module.name not in homes
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(names)
    }
    assert not spelled


def test_scripts_name_no_key() -> None:
    """A script gets its keys or its prefix as arguments."""
    folder = BY_NAME["arq._keys"].path.parent / "lua"
    scripts = sorted(folder.rglob("*.lua"))
    assert scripts
    for path in scripts:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = line.partition("--")[0]
            assert "arq:" not in code, f"{path.name} line {number}"


@pytest.mark.parametrize("module", PRODUCT, ids=lambda module: module.name)
def test_sizes(module: Module) -> None:
    limit = LONGER_MODULES.get(module.name, MODULE_LINES)
    assert module.code_lines() <= limit, f"{module.code_lines()} lines of code"
    for name, function in module.functions():
        limit = LONGER_FUNCTIONS.get(f"{module.name}.{name}", FUNCTION_LINES)
        assert body_lines(function) <= limit, f"{name}: {body_lines(function)} lines"


def test_every_exemption_is_needed() -> None:
    sizes = {f"{m.name}.{name}": body_lines(function) for m in PRODUCT for name, function in m.functions()}
    assert all(sizes[name] > FUNCTION_LINES for name in LONGER_FUNCTIONS)
    assert all(BY_NAME[name].code_lines() > MODULE_LINES for name in LONGER_MODULES)


@pytest.mark.parametrize("module", modules("tests"), ids=lambda module: module.name)
def test_tests_are_short_and_do_not_sleep(module: Module) -> None:
    assert module.code_lines() <= TEST_LINES
    if module.name == "tests.support.eventually" or is_user_code(module):
        return
    assert not [f"line {line}" for line in sleeps(module.tree)]


def test_no_test_imports_from_a_test() -> None:
    """What several tests need has a home without tests: a harness, `tests/support`, or a module beside them."""
    borrowing = {
        f"{module.name} from {one.module}"
        for module in modules("tests")
        for one in module.imports()
        if one.module.startswith("tests.")
        and one.module.rpartition(".")[2].startswith("test_")
        and one.module != module.name
    }
    assert not borrowing


def is_user_code(module: Module) -> bool:
    """A program or settings module that tests start in a process of its own: slow code is what it plays."""
    name = module.name.rpartition(".")[2]
    return not name.startswith(("test_", "conftest")) and ".support." not in module.name


def sleeps(node: ast.AST) -> list[int]:
    """Lines that wait for time to pass. A job (first parameter `ctx`) may do so; sleep(0) only yields."""
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode) and is_job(child):
            continue
        if isinstance(child, ast.Call) and is_sleep(child):
            found.append(child.lineno)
        found += sleeps(child)
    return found


def is_job(function: FunctionNode) -> bool:
    parameters = [*function.args.posonlyargs, *function.args.args]
    return bool(parameters) and parameters[0].arg in ("ctx", "_ctx")


def is_sleep(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    zero = len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
    return name == "sleep" and not zero


def test_a_sleep_would_be_found() -> None:
    code = """
async def job(ctx):
    await asyncio.sleep(5)

async def test_something():
    await asyncio.sleep(0)
    time.sleep(1)
"""
    assert sleeps(ast.parse(code)) == [7]


def _opens_text(call: ast.Call) -> bool:
    """Does this call read or write text in whatever encoding the locale says?"""
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    match call.func:
        case ast.Name(id="open"):
            modes = [*call.args[1:2], *(one.value for one in call.keywords if one.arg == "mode")]
            return not any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes)
        case ast.Attribute(attr="read_text"):
            return not call.args
        case ast.Attribute(attr="write_text"):
            return len(call.args) < 2
    return False


def test_text_has_an_encoding() -> None:
    """With PYTHONWARNDEFAULTENCODING and -W error, anything else ends a command."""
    calls = [
        f"{module.name}:{node.lineno}"
        for module in PRODUCT
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and _opens_text(node)
    ]
    assert not calls
