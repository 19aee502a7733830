"""Texts of rules that are shared by SLOs of one form are those of each SLO's own rules, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slo.rules import SLOTH, compile_specs, rule_texts, to_prometheus_rule, to_yaml
from slo.rules.format import prometheus_rule, yaml_file
from slo.rules.names import OWN, Names
from slo.spec.load import load, loads
from slo.spec.model import Specs
from tests.quick_yaml import read_yaml
from tests.rules.test_compile import ALL_KINDS, DEFINITIONS, specs

SLIS = (
    "{ratio: {errors: 'a_total{code=\"500\"}', total: a_total}}",
    '{ratio: {errors: \'b_total{code=~"5..",job="x"}\', total: \'b_total{job="x"}\'}}',
    '{ratio: {errors: \'b_total{code=~"5..",job="yy"}\', total: \'b_total{job="yy"}\'}}',
    "{ratio: {good: 'a_total{code=\"200\"}', total: a_total}}",
    "{ratio: {good: 'lag_seconds_bucket{le=\"1\"}', total: lag_seconds_count}}",
    "{ratio: {errors: failures_total, total: requests_total}}",
    "{latency: {histogram: lag_seconds, threshold: 1s}}",
    "{latency: {histogram: 'other_milliseconds{job=\"a\\\\nb\"}', threshold: 250ms}}",
    "{latency: {histogram: 'other_milliseconds{job=\"a\"}', threshold: 250ms}}",
    "{probe: {metric: up}}",
    "{probe: {metric: 'probe_success{job=\"[{{x}}] # y: z\"}'}}",
    "{probe: {metric: 'probe_success{job=\"`\"}'}}",
    "{probe: {metric: 'probe_success{job=\"a # b: c\"}'}}",
    '{ratio: {errors: \'a_total{code="500",job="it: a"}\', total: \'a_total{job="it: a"}\'}}',
    "{raw: {errors: 'sum(increase(f_total[$window]))', total: 'sum(increase(r_total[$window]))'}}",
    "{threshold: {value: queue, at_most: 3}}",
)
KEYS = (
    "",
    "description: One of many",
    "description: 'Says \"all\" {{ of }} it: #1'",
    "labels: {tier: '1'}",
    "labels: {tier: '2'}",
    "by: [route]",
    "window: month",
    "scrape_interval: 2m",
    "alerting: {page: off, budget: [50%]}",
    "delay: 5m",
)


def forms() -> Specs:
    """Every SLI with every further key, where that is allowed, under names of all sorts; a third of them but in `make slow`."""
    lines = ["service: shop", "slos:"]
    for i, sli in enumerate(SLIS):
        for j, key in enumerate(KEYS):
            if j and (i + j) % 3 and "SLO_SLOW" not in os.environ:
                continue
            if key.startswith("by") and not sli.startswith(("{ratio", "{latency", "{probe")):
                continue
            more = f", {key}" if key else ""
            lines.append(f"  - {{name: {'on' if j == 0 else f'a{j}'}-{i}, objective: 99.{j}, sli: {sli}{more}}}")
    return specs("\n".join(lines) + "\n")


@pytest.mark.parametrize(("names", "flat"), [(OWN, True), (SLOTH, False)])
def test_texts_are_those_of_each_slos_own_rules(names: Names, flat: bool) -> None:
    for defined in (forms(), specs(ALL_KINDS), load(DEFINITIONS)):
        groups, problems = compile_specs(defined, names)
        texts, same = rule_texts(defined, names, flat=flat)
        made = list(texts)
        text = "".join(yaml_file((series.text for series in made), ["x.yaml"]))
        assert text == to_yaml(groups, ["x.yaml"], flat=flat)
        assert (sum(series.rules for series in made), sum(series.groups for series in made), same) == (
            sum(len(group.rules) for group in groups),
            len(groups),
            problems,
        )
        assert read_yaml(text)


def test_a_resource_of_the_operator_is_the_same_too() -> None:
    loaded_specs = forms()
    texts = (rule_text.text for rule_text in rule_texts(loaded_specs, pad="  ")[0])
    labels = {"a": "b"}
    assert "".join(prometheus_rule(texts, "shop", "monitoring", labels)) == to_prometheus_rule(
        compile_specs(loaded_specs)[0], "shop", "monitoring", labels
    )


def test_plain_alerts_come_before_the_slos_of_their_service(tmp_path: Path) -> None:
    text = "service: {}\nalerts: [{{name: A, expr: up == 0}}]\nslos: [{{name: a, objective: 99, sli: {{probe: {{metric: up}}}}}}]\n"
    loaded_specs = Specs(
        [entry for service in ("b", "a") for entry in loads(text.format(service), f"{service}.yaml", [])]
    )
    assert [(rule_text.service, rule_text.slo, rule_text.rules) for rule_text in rule_texts(loaded_specs)[0]][::2] == [
        ("a", "", 1),
        ("b", "", 1),
    ]
