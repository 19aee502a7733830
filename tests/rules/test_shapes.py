"""Texts are shared by rules of one shape: whatever else is compiled, each rule's text is its own expression."""

from __future__ import annotations

import itertools

import pytest
import yaml

from slo.promql.parse import parse
from slo.rules import Recording, RuleGroup, compile_specs, to_prometheus_rule, to_yaml
from slo.rules.groups import Deferred
from slo.spec.load import loads
from slo.spec.model import Specs

SLIS = (
    "{ratio: {errors: 'a_total{code=\"500\"}', total: a_total}}",
    '{ratio: {errors: \'b_total{code=~"5..",job="x"}\', total: \'b_total{job="x"}\'}}',
    "{ratio: {good: 'a_total{code=\"200\"}', total: a_total}}",
    # Of one histogram and of two metrics: births of the one are among those of all events, of the other they are not.
    "{ratio: {good: 'lag_seconds_bucket{le=\"1\"}', total: lag_seconds_count}}",
    "{ratio: {good: served_total, total: requests_total}}",
    "{ratio: {errors: failures_total, total: requests_total}}",
    "{latency: {histogram: lag_seconds, threshold: 1s}}",
    "{latency: {histogram: 'other_milliseconds{job=\"a\\\\nb\"}', threshold: 250ms}}",
    "{probe: {metric: up}}",
    "{probe: {metric: 'probe_success{job=\"[{{x}}] # y: z\"}'}}",
    "{raw: {errors: 'sum(increase(f_total[$window]))', total: 'sum(increase(r_total[$window]))'}}",
    "{threshold: {value: queue, at_most: 3}}",
)
FURTHER = ("", ", target_labels: [namespace, pod]", ", window: 7d", ", by: [route]", ", alerting: {least_errors: 3}")


def specs(backwards: bool = False) -> Specs:
    """Every SLI with everything that its rules may depend on."""
    lines = []
    for number, (sli, more) in enumerate(itertools.product(SLIS, FURTHER)):
        if "by:" in more and ("raw" in sli or "threshold" in sli):
            continue
        lines.append(f"  - {{name: s{number}, objective: 99.9, sli: {sli}{more}}}\n")
    texts = [
        f"service: {service}\ndefaults: {{scrape_interval: {interval}}}\nslos:\n"
        + "".join(reversed(lines) if backwards else lines)
        for service, interval in (("fine", "30s"), ("slow", "2m"))
    ]
    problems: list[object] = []
    found = [service for text in texts for service in loads(text, "x.yaml", problems)]  # type: ignore[arg-type]
    assert not [problem for problem in problems if getattr(problem, "severity", "") == "error"], problems
    return Specs(found)


def check(groups: tuple[RuleGroup, ...], written: list[dict[str, list[dict[str, str]]]]) -> None:
    assert len(groups) == len(written)
    for group, text in zip(groups, written, strict=True):
        for rule, said in zip(group.rules, text["rules"], strict=True):
            # Texts differ from printed nodes in where their lines break.
            assert "".join(said["expr"].split()) == "".join(str(rule.expr).split()), (group.name, rule.name)


def test_the_check_can_fail() -> None:
    """A text of another rule is no rule's own."""
    groups, _ = compile_specs(specs())
    written = yaml.load(to_yaml(groups[:2]), yaml.CSafeLoader)["groups"]
    written[0]["rules"][0]["expr"] = written[0]["rules"][1]["expr"]
    with pytest.raises(AssertionError):
        check(groups[:2], written)


@pytest.mark.parametrize("backwards", [False, True])
def test_every_text_is_its_own_rules_expression(backwards: bool) -> None:
    groups, _ = compile_specs(specs(backwards))
    check(groups, yaml.load(to_yaml(groups), yaml.CSafeLoader)["groups"])
    resource = yaml.load(to_prometheus_rule(groups, "rules"), yaml.CSafeLoader)
    check(groups, resource["spec"]["groups"])


def test_expressions_of_a_shape_that_was_met_wait_until_they_are_asked_for() -> None:
    """Ten thousand SLOs of one kind make one kind of tile; its text needs no expression a second time."""
    made = 0

    def make() -> object:
        nonlocal made
        made += 1
        return parse("vector(1)")

    rule = Recording("x", Deferred(make), {})  # type: ignore[arg-type]
    assert made == 0
    assert rule.expr == rule.expr == parse("vector(1)")
    assert made == 1
    many = "".join(
        f"  - {{name: s{i}, objective: 99.9, sli: {{ratio: {{errors: 'x{i}_total{{c=\"1\"}}', total: x{i}_total}}}}}}\n"
        for i in range(3)
    )
    groups, _ = compile_specs(Specs(loads(f"service: alike\nslos:\n{many}", "x.yaml", [])))
    tiles = [r for g in groups for r in g.rules if isinstance(r, Recording) and r.name == "slo:events:increase1m"]
    assert [isinstance(tile.made, Deferred) for tile in tiles] == [True] * 3
    assert [f"x{i}_total" in str(tile.expr) for i, tile in enumerate(tiles)] == [True] * 3
