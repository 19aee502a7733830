"""The fingerprint on `slo_info` changes with what is counted, and with nothing else."""

from __future__ import annotations

import pytest

from slo.rules import RecordingRule, compile_specs
from slo.rules.fingerprint import fingerprint
from slo.rules.names import FINGERPRINT_LABEL, NAMES
from slo.spec.load import load_text
from slo.spec.model import Slo
from tests.contract.kinds import KINDS

RATIO = 'sli: {ratio: {errors: \'r_total{job="a",code=~"5.."}\', total: \'r_total{job="a"}\'}}'
RAW = "sli: {raw: {errors: 'sum(rate(bad[$window]))', total: 'sum(rate(all[$window]))'}}"
LATENCY = "sli: {latency: {histogram: 'd_seconds{job=\"a\"}', threshold: 500ms}}"


def one(sli: str, *, name: str = "a", objective: str = "99.9", **more: str) -> Slo:
    rest = "".join(f"    {key}: {value}\n" for key, value in more.items())
    text = f"service: shop\nslos:\n  - name: {name}\n    objective: {objective}\n    {sli}\n{rest}"
    return next(iter(load_text(text, "shop.yaml").values()))


@pytest.mark.parametrize(
    "same",
    [
        one(RATIO, objective="99"),
        one(RATIO, name="b"),
        one(RATIO, window="7d"),
        one(RATIO, window="month"),
        one(RATIO, labels="{tier: '1'}"),
        one(RATIO, owner="team-a"),
        one(RATIO, description="Requests succeed."),
        one(RATIO, alerting="{page: off}"),
        one(RATIO, target_labels="[job, instance]"),
        one('sli: {ratio: {total: \'r_total{job="a"}\', errors: \'r_total{code=~"5..", job="a"}\'}}'),
    ],
)
def test_what_counts_the_same_has_one_fingerprint(same: Slo) -> None:
    assert fingerprint(same) == fingerprint(one(RATIO))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (RAW, RAW.replace("sum(rate(bad[$window]))", "sum( rate( bad[$window] ) )")),
        (LATENCY.replace("500ms", "1s"), LATENCY.replace("500ms", "1000ms")),
    ],
)
def test_how_it_is_written_does_not_matter(text: str, same: str) -> None:
    assert fingerprint(one(text)) == fingerprint(one(same))


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (RATIO, one(RATIO.replace("5..", "5.*"))),
        (RATIO, one(RATIO.replace('job="a"', 'job="b"'))),
        (RATIO, one(RATIO.replace("r_total", "s_total"))),
        (RATIO, one(RATIO.replace("errors:", "good:"))),
        (RATIO, one(RATIO, target_labels="[cluster, job, instance]")),
        (RATIO, one(RATIO, by="[path]")),
        (RATIO, one(RATIO, delay="2m")),
        (RATIO, one(RATIO, scrape_interval="15s")),
        (RAW, one(RAW.replace("bad[$window]", "worse[$window]"))),
        (LATENCY, one(LATENCY.replace("500ms", "1s"))),
        (LATENCY, one(LATENCY.replace("500ms", "500ms, native: true"))),
        (LATENCY, one(LATENCY.replace("500ms", "500ms, unit: milliseconds"))),
        ("sli: {threshold: {value: q, at_most: 100}}", one("sli: {threshold: {value: q, at_least: 100}}")),
        ("sli: {threshold: {value: q, at_most: 100}}", one("sli: {threshold: {value: q, at_most: 101}}")),
        ("sli: {threshold: {value: q, at_most: 1}}", one("sli: {threshold: {value: q, at_most: 1, slice: 5m}}")),
        ("sli: {probe: up}", one("sli: {freshness: {metric: up, max_age: 1h}}")),
        ("sli: {freshness: {metric: m, max_age: 1h}}", one("sli: {freshness: {metric: m, max_age: 2h}}")),
    ],
)
def test_what_counts_otherwise_has_another_fingerprint(text: str, other: Slo) -> None:
    assert fingerprint(one(text)) != fingerprint(other)


def test_an_outage_has_its_slis_own_and_no_more_of_the_name() -> None:
    text = "service: shop\nslos:\n  - {name: NAME, objective: 99, SLI}\n  - {name: down, objective: 99, sli: {outage: {of: NAME, longer_than: 10m}}}\n"
    first, renamed, other = (
        load_text(text.replace("NAME", name).replace("SLI", sli), "shop.yaml")["shop/down"]
        for name, sli in (("a", RATIO), ("b", RATIO), ("a", RATIO.replace("5..", "500")))
    )
    assert fingerprint(first) == fingerprint(renamed) != fingerprint(other)


def test_all_kinds_differ() -> None:
    slos = [slo for kind in KINDS.values() for slo in load_text(kind.definition, "a.yaml").values()]
    named = {str(slo.sli): fingerprint(slo) for slo in slos}
    assert len(set(named.values())) == len(named) > 10


@pytest.mark.parametrize("names", list(NAMES))
def test_it_is_recorded_with_each_tile(names: str) -> None:
    specs = load_text(KINDS["latency"].definition, "a.yaml")
    [slo] = specs.values()
    [group] = [
        group
        for group in compile_specs(specs, NAMES[names])[0]
        if any(rule.name == "slo:events:increase1m" for rule in group.rules)
    ]
    [info] = [rule for rule in group.rules if isinstance(rule, RecordingRule) and rule.name == NAMES[names].info]
    assert info.labels[FINGERPRINT_LABEL] == fingerprint(slo)
