"""Rules for managed Prometheus: what each service publishes of its format holds, and the rules are those of the rules file."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from slo.errors import ConfigError
from slo.rules import compile_specs, rules
from slo.rules.managed import azure_template, iso_duration
from slo.spec.load import load
from slo.spec.model import Specs
from slo.window import DAY, MINUTE, parse_duration
from tests.extras import needs
from tests.quick_yaml import read_yaml
from tests.rules.schemas import AZURE, GMP
from tests.shell import run as slo

ROOT = Path(__file__).parent.parent.parent
DEFINITION = """\
service: shop
slos:
  - name: errors
    objective: 99
    by: [region]
    sli: {ratio: {errors: 'r_total{code=~"5.."}', total: r_total}}
alerts:
  - name: Stuck
    expr: stuck > 0
    for: 90m
    keep_firing_for: 25h
    severity: page
    description: "[stuck]"
"""


@pytest.fixture
def specs(tmp_path: Path) -> Specs:
    (tmp_path / "shop.yaml").write_text(DEFINITION)
    return load([tmp_path / "shop.yaml", ROOT / "definitions" / "hitl-api.yaml"])


def of_file(specs: Specs) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = read_yaml(rules(specs, pretty=False))["groups"]
    return groups


def test_googles_rules_hold_its_schema_and_the_same_rules(specs: Specs) -> None:
    document = read_yaml(rules(specs, format="gmp", namespace="mon", labels={"team": "a"}, pretty=False))
    jsonschema.validate(document, GMP)
    assert document["metadata"] == {"name": "slo-rules", "namespace": "mon", "labels": {"team": "a"}}
    groups = of_file(specs)
    for group in groups:
        group.pop("limit", None)
        for rule in group["rules"]:
            rule.pop("keep_firing_for", None)
    assert document["spec"]["groups"] == groups


def test_azures_template_holds_its_schema_and_the_same_rules(specs: Specs) -> None:
    template = json.loads(rules(specs, format="azure"))
    jsonschema.validate(template, AZURE)
    groups = of_file(specs)
    assert len(groups) == len(template["resources"])
    for group, resource in zip(groups, template["resources"], strict=True):
        assert resource["properties"]["interval"] == iso_duration(parse_duration(group["interval"]))
        for rule, there in zip(group["rules"], resource["properties"]["rules"], strict=True):
            assert (rule.get("record"), rule.get("alert")) == (there.get("record"), there.get("alert"))
            assert there["expression"] == rule["expr"] and there["labels"] == rule.get("labels", {})
            if "alert" in rule:
                assert there["for"] == (iso_duration(parse_duration(rule["for"])) if "for" in rule else "PT0S")
    [stuck] = [rule for resource in template["resources"] for rule in resource["properties"]["rules"] if rule.get("alert") == "Stuck"]  # fmt: skip
    assert (stuck["for"], stuck["severity"], stuck["resolveConfiguration"]["timeToResolve"]) == ("PT1H30M", 1, "P1DT1H")
    # A text in brackets would be an expression of the template; with two it is a text.
    assert stuck["annotations"]["description"] == "[[stuck]"


@needs("botocore")
def test_amazon_takes_the_rules_file(specs: Specs) -> None:
    """Its client's own model of the API, by which a request is checked and written."""
    import botocore.session
    from botocore.serialize import create_serializer
    from botocore.validate import ParamValidator

    text = rules(specs).encode()
    model = botocore.session.Session().get_service_model("amp").operation_model("PutRuleGroupsNamespace")
    request = {"workspaceId": "ws-1", "name": "slo", "data": text}
    assert not ParamValidator().validate(request, model.input_shape).has_errors()
    written = create_serializer("rest-json").serialize_to_request(request, model)
    assert base64.b64decode(json.loads(written["body"])["data"]) == text
    # A namespace's and a group's name together have 721 bytes at most.
    assert max(len(group["name"].encode()) for group in of_file(specs)) + 128 <= 721


def test_what_a_format_has_no_field_for_is_said(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(DEFINITION)
    done = slo("rules", tmp_path / "shop.yaml", "--format", "gmp", "-o", tmp_path / "gmp.yml")
    assert done.returncode == 0 and "`limit` of 2 groups and `keep_firing_for` of 1 alerts" in done.stderr
    done = slo("rules", tmp_path / "shop.yaml", "--format", "azure", "--split", "-o", tmp_path / "out")
    assert done.returncode == 0 and "keep_firing_for" not in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["shop.json"]
    for flags in (["--namespace", "a"], ["--tests", "t.yml", "-o", "x"]):
        assert slo("rules", tmp_path / "shop.yaml", "--format", "azure", *flags, cwd=tmp_path).returncode == 2


def test_azures_limits_are_errors(specs: Specs) -> None:
    from dataclasses import replace

    groups = compile_specs(specs)[0]
    with pytest.raises(ConfigError, match="is evaluated every 30s; Azure takes 1m to 15m"):
        azure_template([replace(groups[0], interval_ms=30_000)])
    with pytest.raises(ConfigError, match="801 groups: a template has at most 800 resources"):
        azure_template([replace(groups[0], name=f"slo/{number}") for number in range(801)])
    with pytest.raises(ConfigError, match="are one resource in Azure"):
        azure_template([replace(groups[0], name=name) for name in ("slo/a/b", "slo/A-b")])


@pytest.mark.parametrize(
    ("length_ms", "text"),
    [(0, "PT0S"), (1500, "PT1.5S"), (MINUTE, "PT1M"), (90 * MINUTE, "PT1H30M"), (DAY, "P1D"), (DAY + 1000, "P1DT1S")],
)
def test_durations_of_iso_8601(length_ms: int, text: str) -> None:
    assert iso_duration(length_ms) == text
