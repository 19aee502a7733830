"""The Helm chart: what it renders is what the Kubernetes API takes, by our own renderer and, where there is one, by Helm.

`SLO_HELM=BINARY` names Helm where it is not on the path; `go install helm.sh/helm/v3/cmd/helm@v3.18.4` makes one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from slo.cli import run
from slo.convert.helm import render, templates_in
from slo.spec.load import load_text
from slo.weekly.config import read_config
from tests.servers import promtool

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "reports" / "helm"
DEFINITION = (ROOT / "definitions" / "prometheus.yaml").read_text(encoding="utf-8")
HELM = os.environ.get("SLO_HELM") or shutil.which("helm")


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("rules") / "rules.yml"
    assert run(["rules", str(ROOT / "definitions" / "prometheus.yaml"), "-o", str(path)]) == 0
    return path.read_text(encoding="utf-8")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {**base, **over}
    return both | {
        key: merged(base[key], over[key]) for key in base.keys() & over.keys() if isinstance(base[key], dict)
    }


def rendered(values: Mapping[str, Any], name: str = "slo") -> dict[tuple[str, str], dict[str, Any]]:
    """The chart's objects by kind and name, as our renderer makes them."""
    whole = merged(yaml.safe_load((CHART / "values.yaml").read_text()), values)
    helpers = templates_in((CHART / "templates" / "_helpers.tpl").read_text())
    texts = [
        render(path.read_text(), whole, helpers, {"Release": {"Name": name}})
        for path in sorted((CHART / "templates").glob("*.yaml"))
    ]
    return by_name("\n---\n".join(texts))


def by_name(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    objects = [data for data in yaml.safe_load_all(text) if data]
    return {(data["kind"], data["metadata"]["name"]): data for data in objects}


def cases(rules: str) -> list[dict[str, Any]]:
    definitions = {"prometheus.yaml": DEFINITION}
    return [
        {},
        {"definitions": definitions, "rules": {"text": rules, "labels": {"release": "prometheus"}}},
        {"definitions": definitions, "rules": {"text": rules, "kind": "ConfigMap"}},
        {"existingDefinitions": "ours", "weekly": {"storage": {"storageClass": "fast", "size": "5Gi"}}},
        {"weekly": {"enabled": False}, "rules": {"text": rules, "kind": ""}},
    ]


@pytest.mark.parametrize("case", range(5))
def test_kubernetes_takes_what_the_chart_renders(case: int, rules: str) -> None:
    for (kind, _), data in rendered(cases(rules)[case]).items():
        if kind != "PrometheusRule":  # the operator's own
            for version in ("1.29", "1.33"):
                kubernetes_validate.validate(data, version, strict=True)


@pytest.mark.parametrize("case", range(5))
def test_helm_renders_the_same(case: int, rules: str, tmp_path: Path) -> None:
    if HELM is None:
        pytest.skip("there is no helm; SLO_HELM may name one")
    values = cases(rules)[case]
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    command = [HELM, "template", "web", str(CHART), "-f", str(tmp_path / "values.yaml")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    assert by_name(done.stdout) == rendered(values, "web")


@pytest.mark.server
@pytest.mark.parametrize("kind", ["PrometheusRule", "ConfigMap"])
def test_the_rules_arrive_as_they_are(kind: str, rules: str, tmp_path: Path) -> None:
    rendered_objects = rendered({"rules": {"text": rules, "kind": kind}})[kind, "slo-rules"]
    text = rendered_objects["data"]["slo.yml"] if kind == "ConfigMap" else yaml.safe_dump(rendered_objects["spec"])
    assert yaml.safe_load(text) == yaml.safe_load(rules)
    (tmp_path / "rules.yml").write_text(text, encoding="utf-8")
    assert promtool("check", "rules", tmp_path / "rules.yml").returncode == 0


def test_definitions_and_the_jobs_configuration_arrive_as_they_are(tmp_path: Path) -> None:
    objects = rendered({"definitions": {"prometheus.yaml": DEFINITION}})
    [text] = objects["ConfigMap", "slo-definitions"]["data"].values()
    assert list(load_text(text)) == list(load_text(DEFINITION))
    (tmp_path / "weekly.yaml").write_text(objects["ConfigMap", "slo-weekly"]["data"]["weekly.yaml"])
    assert read_config(tmp_path / "weekly.yaml").source == "http://prometheus:9090"


def test_the_chart_runs_the_job_as_the_plain_resources_do() -> None:
    """What reports/kubernetes says of the Pod, the chart says too."""
    plain = next(iter(yaml.safe_load_all((ROOT / "reports" / "kubernetes" / "cronjob.yaml").read_text())))
    ours = rendered({})["CronJob", "slo-weekly"]
    pods = [data["spec"]["jobTemplate"]["spec"]["template"]["spec"] for data in (plain, ours)]
    for pod in pods:
        [container] = pod["containers"]
        container.pop("imagePullPolicy", None)
        pod.pop("volumes")
    assert pods[0] == pods[1]


def test_an_unknown_value_is_refused_by_the_charts_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert list(jsonschema.Draft7Validator(schema).iter_errors(values)) == []
    assert list(jsonschema.Draft7Validator(schema).iter_errors(merged(values, {"rules": {"knd": "x"}})))
