"""Pyrra's resources: indicators, windows, alerts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from slo.window import DAY, HOUR, MINUTE, Rolling
from tests.convert import draft_of, imported, pyrra, slo_of

RATIO = "ratio: {errors: {metric: 'x_total{code=~\"5..\"}'}, total: {metric: x_total}, grouping: [route]}"


@pytest.mark.parametrize(
    ("indicator", "sli", "by"),
    [
        (RATIO, {"ratio": {"errors": 'x_total{code=~"5.."}', "total": "x_total"}}, ["route"]),
        (
            "latency: {success: {metric: 'd_seconds_bucket{le=\"5.0\"}'}, total: {metric: d_seconds_count}}",
            {"latency": {"histogram": "d_seconds", "threshold": "5s"}}, None,
        ),
        (
            "latencyNative: {latency: 1s, total: {metric: 'd_seconds{job=\"a\"}'}}",
            {"latency": {"histogram": 'd_seconds{job="a"}', "threshold": "1s", "native": True}}, None,
        ),
        ("bool_gauge: {metric: probe_success, grouping: [instance]}", {"probe": {"metric": "probe_success"}}, ["instance"]),
    ],
)  # fmt: skip
def test_each_indicator_is_exact(indicator: str, sli: object, by: object) -> None:
    draft = draft_of(pyrra(indicator))
    assert (draft.entry["sli"], draft.entry.get("by"), draft.grade) == (sli, by, "exact")


def test_target_window_service_owner_and_labels() -> None:
    metadata = "namespace: monitoring\n  labels: {role: rules, pyrra.dev/service: shop, pyrra.dev/team: web, pyrra.dev/tier: 1}"
    slo = slo_of(pyrra(RATIO, "target: '99.95'\n  window: 2w", metadata))
    assert (slo.id, slo.owner, slo.labels) == ("shop/requests", "web", {"team": "web", "tier": "1"})
    assert (slo.objective.percent, slo.window) == (Decimal("99.95"), Rolling(14 * DAY))


def test_the_four_pairs_are_pyrras_for_28_days() -> None:
    alerting = slo_of(pyrra(RATIO, "target: '99.9'\n  window: 4w")).alerting
    assert alerting.windows is not None
    shown = [
        (burn.severity, burn.long_ms, burn.short_ms, int(burn.factor), alerting.of_pair(burn).for_ms)
        for burn in alerting.windows
    ]
    assert shown == [
        ("page", HOUR, 5 * MINUTE, 14, 2 * MINUTE), ("page", 6 * HOUR, 30 * MINUTE, 7, 15 * MINUTE),
        ("ticket", DAY, 2 * HOUR, 2, HOUR), ("ticket", 4 * DAY, 6 * HOUR, 1, 3 * HOUR),
    ]  # fmt: skip
    assert [alerting.of_pair(burn).labels["severity"] for burn in alerting.windows] == ["critical"] * 2 + [
        "warning"
    ] * 2


def test_pairs_are_scaled_and_rounded_for_other_windows() -> None:
    pairs = draft_of(pyrra(RATIO, "target: '99.9'\n  window: 2w")).entry["alerting"]["windows"]
    assert [(pair["long"], pair["short"], pair["for"]) for pair in pairs] == [
        ("30m", "3m", "1m"), ("3h", "15m", "8m"), ("12h", "1h", "30m"), ("2d", "3h", "1h30m"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "window", "factors"), [("90", "4w", ["7", "2", "1"]), ("99.9", "1d", ["7", "2", "1"])]
)
def test_a_pair_that_could_never_work_is_left_out_with_its_reason(target: str, window: str, factors: list[str]) -> None:
    draft = draft_of(pyrra(RATIO, f"target: '{target}'\n  window: {window}"))
    assert [pair["factor"] for pair in draft.entry["alerting"]["windows"]] == factors
    assert any("burn rate of 14 is left out" in note.text for note in draft.notes)
    assert draft.grade == "exact"


@pytest.mark.parametrize(
    ("given", "alerting"),
    [
        ("disabled: true", False),
        ("burnrates: false, absent: false", {"page": False, "ticket": False, "absent": False}),
    ],
)
def test_alerts_that_are_off_are_off(given: str, alerting: object) -> None:
    assert draft_of(pyrra(RATIO, f"target: '99'\n  window: 4w\n  alerting: {{{given}}}")).entry["alerting"] == alerting


def test_severities_and_names_of_alerts() -> None:
    given = "alerting: {name: ShopBurns, severities: {fastBurn: P1, absent: P2}}"
    alerting = slo_of(pyrra(RATIO, f"target: '99.9'\n  window: 4w\n  {given}")).alerting
    assert alerting.windows is not None
    assert [alerting.of_pair(burn).labels["severity"] for burn in alerting.windows] == [
        "P1",
        "critical",
        "warning",
        "warning",
    ]
    assert (alerting.page.name, alerting.absent.alert.labels["severity"], alerting.absent.severity) == (
        "ShopBurns",
        "P2",
        "page",
    )


def test_slos_of_one_service_are_one_document() -> None:
    result = imported(pyrra(RATIO) + "---\n" + pyrra(RATIO).replace("name: requests", "name: others"))
    [service] = result.services
    assert [draft.name for draft in service.slos] == ["requests", "others"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (pyrra(RATIO, "window: 4w"), "`spec.target` is missing"),
        (pyrra(RATIO, "target: '99'\n  window: 1 month"), "is not a valid duration"),
        (pyrra(RATIO, "target: '99'\n  window: 1y"), "accepted are 1h to 90d"),
        (pyrra("ratio: {total: {metric: x_total}}"), "`spec.indicator.ratio.errors.metric` is missing"),
        (pyrra("{}"), "must be one of"),
        (pyrra("bool_gauge: {metric: sum(up)}"), "is not a plain metric"),
    ],
)
def test_what_is_incomplete_is_refused(text: str, reason: str) -> None:
    [refusal] = imported(text).refusals
    assert reason in refusal.reason
