"""What reports to a server: spans of every worker arrive, those of its last seconds, too."""

from collections.abc import Callable
from pathlib import Path

from tests.support.eventually import wait_until
from tests.tools.collector import collecting
from tests.tools.conftest import APP, Tool

OTEL = APP.replace("    await asyncio.sleep(0.01)\n    return os.getpid()", """
    from opentelemetry import trace
    with trace.get_tracer("app").start_as_current_span(f"work-by-{os.getpid()}."):
        return os.getpid()""", 1)  # fmt: skip
DDTRACE = APP.replace("    await asyncio.sleep(0.01)\n    return os.getpid()", """
    from ddtrace.trace import tracer
    with tracer.trace(f"work-by-{os.getpid()}."):
        return os.getpid()""", 1)  # fmt: skip
NEW_RELIC = "import newrelic.agent\n" + APP.replace(
    "class Settings:",
    """class Settings:
    async def on_startup(ctx):
        newrelic.agent.register_application(timeout=10)
""",
).replace("async def work", "@newrelic.agent.background_task()\nasync def work")


def test_opentelemetry_instrument(tool: Tool, python_with: Callable[..., Path]) -> None:
    python = python_with("opentelemetry-distro==0.66b2", "opentelemetry-exporter-otlp-proto-http")
    with collecting() as collector:
        tool.start(python.with_name("opentelemetry-instrument"), python, "-m", "supervisor", app=OTEL,
                   OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, OTEL_TRACES_EXPORTER="otlp",
                   OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none",
                   OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")  # fmt: skip
        pids = tool.pids_at_work()
        tool.stop()
        assert not [pid for pid in pids if b"work-by-%d." % pid not in collector.heap]


def test_ddtrace_run(tool: Tool, python_with: Callable[..., Path]) -> None:
    python = python_with("ddtrace==4.16.0")
    with collecting() as collector:
        tool.start(python.with_name("ddtrace-run"), python, "-m", "supervisor", app=DDTRACE,
                   DD_TRACE_AGENT_URL=collector.address, DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
                   DD_REMOTE_CONFIGURATION_ENABLED="false")  # fmt: skip
        pids = tool.pids_at_work()
        tool.stop()
        wait_until(lambda: all(b"work-by-%d." % pid in collector.heap for pid in pids), what="spans of all")


def test_newrelic_admin(tool: Tool, python_with: Callable[..., Path]) -> None:
    """Without an account it sends nothing, and writes down what it would send."""
    python = python_with("newrelic==14.1.0")
    tool.start(python.with_name("newrelic-admin"), "run-program", python, "-m", "supervisor", app=NEW_RELIC,
               NEW_RELIC_DEVELOPER_MODE="true", NEW_RELIC_LICENSE_KEY="0" * 40, NEW_RELIC_APP_NAME="app",
               NEW_RELIC_LOG="agent.log", NEW_RELIC_LOG_LEVEL="debug")  # fmt: skip
    pids = tool.pids_at_work()
    tool.stop()
    lines = (tool.folder / "agent.log").read_text().splitlines()
    for pid in pids:
        assert [line for line in lines if f"({pid}/" in line and "harvest" in line.lower()]
