"""The files in examples/deploy: right by the schemas of their makers, and in agreement with each other and the code."""

import copy
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.manifests import (
    BUDGET,
    COMPOSE,
    DEPLOYMENT,
    DOCKERFILE,
    FOLDER,
    IMAGE_COMMAND,
    POD,
    WORKER,
    documents,
    health_command,
    last,
    options_of,
)
from tests.deploy.metrics import complaints

# the oldest release that is still maintained, and the newest that the schemas know
KUBERNETES = ("1.34", "1.37")
# beside the workers: the supervisor and the steward share most of their pages with them
OTHERS_MB = 100


def hadolint(path: Path) -> "subprocess.CompletedProcess[str]":
    command = shutil.which("hadolint") or Path(sysconfig.get_path("scripts")) / "hadolint"
    return subprocess.run([command, "--no-color", path], capture_output=True, text=True, check=False)


def compose_schema(path: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# --- by their schemas -----------------------------------------------------------------------------------------


def test_hadolint_has_nothing_to_say_about_the_dockerfile(tmp_path: Path) -> None:
    assert hadolint(DOCKERFILE).stdout == ""
    (tmp_path / "Dockerfile").write_text("FROM python\nENTRYPOINT arq-supervise\n")
    assert {"DL3006", "DL3025"} <= set(re.findall(r"DL\d+", hadolint(tmp_path / "Dockerfile").stdout))


def test_the_compose_file_is_one(tmp_path: Path) -> None:
    outcome = compose_schema(FOLDER / "compose.yaml")
    assert outcome.returncode == 0, outcome.stdout
    broken = copy.deepcopy(COMPOSE)
    broken["services"]["worker"]["stop_graceperiod"] = "60s"
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(broken))
    assert compose_schema(tmp_path / "compose.yaml").returncode == 1


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("document", [DEPLOYMENT, BUDGET, *documents("kubernetes/hpa.yaml")],
                         ids=lambda document: document["kind"])  # fmt: skip
def test_kubernetes_knows_every_field(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)
    broken = copy.deepcopy(document)
    broken["spec"]["replica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, version, strict=True)


# --- with each other ------------------------------------------------------------------------------------------


def test_every_file_is_looked_at() -> None:
    known = {"README.md", "Dockerfile", "Dockerfile.dockerignore", "shop.py", "compose.yaml", "alerts.yaml",
             "kubernetes/deployment.yaml", "kubernetes/hpa.yaml", "kubernetes/keda.yaml"}  # fmt: skip
    files = {path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {str(path.relative_to(FOLDER)) for path in files} == known


def test_selectors_select_the_pods() -> None:
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"].items()
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"].items() <= labels
    assert BUDGET["spec"]["selector"]["matchLabels"].items() <= labels


@pytest.mark.parametrize("name", ["hpa", "keda"])
def test_scalers_scale_the_deployment(name: str) -> None:
    (scaler,) = documents(f"kubernetes/{name}.yaml")
    assert scaler["spec"]["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"]
    least = scaler["spec"].get("minReplicas", scaler["spec"].get("minReplicaCount"))
    assert least >= DEPLOYMENT["spec"]["replicas"] > 1  # one may be drained; without any there is no metric


def test_scalers_ask_for_a_metric_that_exists() -> None:
    (hpa,), (keda,) = documents("kubernetes/hpa.yaml"), documents("kubernetes/keda.yaml")
    assert complaints(hpa["spec"]["metrics"][0]["pods"]["metric"]["name"]) == []
    (trigger,) = keda["spec"]["triggers"]
    assert (trigger["type"], trigger["metricType"]) == ("prometheus", "Value")
    assert complaints(trigger["metadata"]["query"]) == []
    assert float(trigger["metadata"]["threshold"]) > 0


def test_alerts_ask_for_metrics_that_exist() -> None:
    (rules,) = documents("alerts.yaml")
    for rule in rules["groups"][0]["rules"]:
        assert complaints(rule["expr"]) == [], rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]


def test_probes_and_health_checks_are_the_same_question() -> None:
    words = health_command()
    assert COMPOSE["services"]["worker"]["healthcheck"]["test"] == ["CMD", *words]
    probe = WORKER["startupProbe"]["exec"]["command"]
    assert [word for part in probe for word in part.split("=")] == words
    for arguments in (IMAGE_COMMAND[1:], WORKER["args"]):
        assert options_of(arguments).name == words[words.index("--name") + 1]


def test_a_check_has_time_to_say_no() -> None:
    """It ends by itself after five seconds; an engine that kills it before learns nothing."""
    from supervisor.commands.check import LIMIT_S

    assert WORKER["startupProbe"]["timeoutSeconds"] > LIMIT_S
    assert int(last("HEALTHCHECK").flags["timeout"].removesuffix("s")) > LIMIT_S
    assert int(COMPOSE["services"]["worker"]["healthcheck"]["timeout"].removesuffix("s")) > LIMIT_S


def test_the_metrics_port_is_the_same_everywhere() -> None:
    port = last("EXPOSE").rest
    metadata = DEPLOYMENT["spec"]["template"]["metadata"]
    assert WORKER["ports"] == [{"name": "metrics", "containerPort": int(port)}]
    assert metadata["annotations"]["prometheus.io/port"] == port
    assert COMPOSE["services"]["worker"]["expose"] == [port]
    for arguments in (IMAGE_COMMAND[1:], WORKER["args"]):
        assert options_of(arguments).metrics == f"0.0.0.0:{port}"
    for name in ("liveness", "readiness"):
        assert WORKER[f"{name}Probe"]["httpGet"]["port"] == "metrics"


def test_the_start_may_take_as_long_as_the_supervisor_lets_it() -> None:
    options = options_of(WORKER["args"])
    probe = WORKER["startupProbe"]
    longest_s = (1 + options.boot_retries) * options.boot_timeout_s
    assert probe["periodSeconds"] * probe["failureThreshold"] > longest_s
    assert DEPLOYMENT["spec"].get("progressDeadlineSeconds", 600) > longest_s


def test_everybody_runs_as_the_user_of_the_image_without_privileges() -> None:
    user, group = last("USER").rest.split(":")
    assert int(user) > 0
    security = POD["securityContext"]
    assert security["runAsNonRoot"]
    assert (security["runAsUser"], security["runAsGroup"]) == (int(user), int(group))
    assert WORKER["securityContext"]["readOnlyRootFilesystem"]
    assert COMPOSE["services"]["worker"]["read_only"]
    assert COMPOSE["services"]["worker"]["cap_drop"] == ["ALL"]
    assert WORKER["securityContext"]["capabilities"]["drop"] == ["ALL"]
    (mount,) = WORKER["volumeMounts"]
    assert [mount["mountPath"]] == COMPOSE["services"]["worker"]["tmpfs"] == ["/tmp"]


def test_nothing_stands_between_the_engine_and_the_supervisor() -> None:
    assert last("ENTRYPOINT").is_exec_form
    assert last("CMD").is_exec_form
    assert "init" not in COMPOSE["services"]["worker"]
    assert "command" not in WORKER
    assert "lifecycle" not in WORKER


def test_workers_fit_into_the_limits_of_the_pod() -> None:
    options = options_of(WORKER["args"])
    limits = WORKER["resources"]["limits"]
    assert options.procs == int(limits["cpu"])
    limit_mb = int(limits["memory"].removesuffix("Mi"))
    assert options.procs * options.max_rss_mb + OTHERS_MB <= limit_mb
