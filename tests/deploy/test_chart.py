"""The Helm chart, rendered by Helm: each object is valid for Kubernetes, and says what it must."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from gateway.api.routes import ROUTES
from gateway.cli import farebox
from gateway.pricing.load import load_card
from gateway.settings import load_settings
from gateway.startup.misspelt import misspelt
from tests.missing import not_run

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "farebox"
VERSIONS = ("1.30", "1.37")  # the oldest that the schemas know of those still in use, and the newest
NEEDED = ("publicUrl=https://farebox.example.com",)
EVERYTHING = (
    "keda.enabled=true",
    "archivist.enabled=true",
    "gateway.ingress.enabled=true",
    "gateway.ingress.host=farebox.example.com",
    "gateway.ingress.tlsSecretName=tls",
    "workers.tools.video.jobs=20",
)
# What of KEDA's objects the chart uses, as KEDA describes it: the schemas of Kubernetes do not have these.
TEXT, NUMBER = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}
KEDA = {
    "ScaledObject": {
        "scaleTargetRef": {"name": TEXT},
        "minReplicaCount": NUMBER,
        "maxReplicaCount": NUMBER,
        "cooldownPeriod": NUMBER,
        "pollingInterval": NUMBER,
        "fallback": {"failureThreshold": NUMBER, "replicas": NUMBER},
        "triggers": [
            {
                "type": {"const": "metrics-api"},
                "metadata": {"url": TEXT, "valueLocation": TEXT, "targetValue": TEXT, "authMode": {"const": "bearer"}},
                "authenticationRef": {"name": TEXT},
            }
        ],
    },
    "TriggerAuthentication": {"secretTargetRef": [{"parameter": {"const": "token"}, "name": TEXT, "key": TEXT}]},
}
Objects = dict[str, dict[str, dict[str, Any]]]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("helm", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    if program is None:
        not_run("helm is not installed: make .venv/bin/helm")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


@functools.cache
def rendered(*values: str, card: Path = ROOT / "pricing.toml") -> Objects:
    """The objects by kind and name."""
    chosen = [word for value in (*NEEDED, *values) for word in ("--set", value)]
    content = f"rateCard.content={card}"
    answer = helm("template", "shop", str(CHART), "--namespace", "media", *chosen, "--set-file", content)
    assert answer.returncode == 0, answer.stderr
    found: Objects = defaultdict(dict)
    for one in yaml.safe_load_all(answer.stdout):
        if one is not None:
            assert one["metadata"]["name"] not in found[one["kind"]], "twice"
            found[one["kind"]][one["metadata"]["name"]] = one
    return found


def containers(objects: Objects) -> dict[str, dict[str, Any]]:
    deployments = objects["Deployment"].items()
    return {name: one["spec"]["template"]["spec"]["containers"][0] for name, one in deployments}


def strict(shape: Any) -> dict[str, Any]:
    """A JSON schema that admits exactly these members."""
    if isinstance(shape, list):
        return {"type": "array", "minItems": 1, "items": strict(shape[0])}
    if {"type", "const"} & set(shape) and not any(isinstance(value, dict) for value in shape.values()):
        return dict(shape)
    members = {name: strict(inner) for name, inner in shape.items()}
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


@pytest.mark.parametrize("values", [(), EVERYTHING], ids=["defaults", "everything"])
def test_every_object_is_valid(values: tuple[str, ...]) -> None:
    assert helm("lint", "--strict", str(CHART), "--set", NEEDED[0], "--set", "rateCard.content=x").returncode == 0
    for kind, named in rendered(*values).items():
        for name, one in named.items():
            if kind in KEDA:
                assert one["apiVersion"] == "keda.sh/v1alpha1"
                jsonschema.validate(one["spec"], strict(KEDA[kind]))
                continue
            for version in VERSIONS:
                kubernetes_validate.validate(one, version, strict=True)
            assert len(name) <= 63


def test_every_process_is_locked_down_and_is_given_longer_than_its_own_grace() -> None:
    objects = rendered(*EVERYTHING)
    for name, deployment in objects["Deployment"].items():
        pod, container = deployment["spec"]["template"]["spec"], containers(objects)[name]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["automountServiceAccountToken"] is False, name
        # A Service named farebox would set FAREBOX_PORT=tcp://10.0.0.1:80, which no process starts with.
        assert pod["enableServiceLinks"] is False, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/data", "/tmp"}, name  # noqa: S108
        (grace,) = (int(one["value"]) for one in container["env"] if one["name"] == "FAREBOX_GRACE_SECONDS")
        assert pod["terminationGracePeriodSeconds"] >= grace + 15, name
        budget = objects["PodDisruptionBudget"][name]["spec"]
        assert budget == {"maxUnavailable": 1, "selector": deployment["spec"]["selector"]}, name


def test_every_process_is_a_command_and_every_setting_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    objects = rendered(*EVERYTHING)
    for name, container in containers(objects).items():
        assert container["args"][0] in farebox.list_commands(None), name  # type: ignore[arg-type]  # needs none
    assert containers(objects)["shop-worker-video"]["args"] == [
        *("worker", "video", "--metrics-port", "9100", "--jobs", "20")
    ]
    settings = objects["ConfigMap"]["shop-settings"]["data"]
    assert misspelt(settings) == {}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FAREBOX_DATA", str(tmp_path))
    monkeypatch.setenv("FAREBOX_LEDGER_URL", "redis://redis:6379")
    read = load_settings()
    assert (read.port, read.metrics_port, read.in_test_mode) == (8080, 9100, False)
    card = tmp_path / "pricing.toml"
    card.write_text(objects["ConfigMap"]["shop-rate-card"]["data"]["pricing.toml"])
    assert set(load_card(card).tools) >= {"image", "video"}


def test_secrets_are_only_referred_to() -> None:
    objects = rendered(*EVERYTHING)
    assert "Secret" not in objects
    for name, container in containers(objects).items():
        assert {"secretRef": {"name": "farebox"}} in container["envFrom"], name
    words = ("KEY", "SECRET", "PASSWORD", "LEDGER_URL")
    assert not any(word in name for name in objects["ConfigMap"]["shop-settings"]["data"] for word in words)


def test_keda_asks_a_path_that_exists_and_scales_what_has_no_fixed_number() -> None:
    objects = rendered(*EVERYTHING)
    assert {route.path for route in ROUTES} >= {"/v1/ops/scale/{tool}"}
    for tool in ("image", "video"):
        scaled = objects["ScaledObject"][f"shop-worker-{tool}"]["spec"]
        target = objects["Deployment"][scaled["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"]
        (trigger,) = scaled["triggers"]
        assert trigger["metadata"]["url"] == f"http://shop-gateway.media.svc:80/v1/ops/scale/{tool}"
        jobs = {"image": 150, "video": 20}[tool]
        assert float(trigger["metadata"]["targetValue"]) == pytest.approx(jobs / load_settings().worker_jobs)
        assert trigger["authenticationRef"]["name"] in objects["TriggerAuthentication"]
    assert rendered()["Deployment"]["shop-worker-image"]["spec"]["replicas"] == 2
    assert "shop-gateway" in objects["Service"]


def test_a_tool_may_be_scaled_to_nothing() -> None:
    """0 was taken for a number that is not given, and a worker of the tool kept running."""
    scaled = rendered(*EVERYTHING, "workers.tools.video.minReplicas=0")["ScaledObject"]
    assert scaled["shop-worker-video"]["spec"]["minReplicaCount"] == 0
    assert scaled["shop-worker-image"]["spec"]["minReplicaCount"] == 1


def test_changed_settings_replace_the_pods_and_changed_prices_do_not() -> None:
    def templates(objects: Objects) -> dict[str, Any]:
        return {name: one["spec"]["template"] for name, one in objects["Deployment"].items()}

    before = templates(rendered())
    other_card = CHART / "values.yaml"  # any other text
    assert templates(rendered(card=other_card)) == before
    changed = templates(rendered("settings.FAREBOX_LOG_LEVEL=debug"))
    assert set(changed) == set(before)
    assert all(changed[name] != before[name] for name in before)


def test_only_the_gateway_is_called_and_no_process_reaches_the_clouds_metadata() -> None:
    policies = rendered()["NetworkPolicy"]
    everyone, gateway = policies["shop"]["spec"], policies["shop-gateway"]["spec"]
    assert [port["port"] for rule in everyone["ingress"] for port in rule["ports"]] == ["metrics"]
    assert [port["port"] for rule in gateway["ingress"] for port in rule["ports"]] == ["http"]
    assert gateway["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "gateway"
    excluded = [network for rule in everyone["egress"] for to in rule["to"] for network in to["ipBlock"]["except"]]
    assert "169.254.169.254/32" in excluded


def test_what_is_missing_is_said() -> None:
    answer = helm("template", "shop", str(CHART))
    assert answer.returncode != 0
    assert "publicUrl" in answer.stderr
    assert "rateCard" in answer.stderr
