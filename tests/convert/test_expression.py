"""From an expression to an SLI, in the order in which it is looked at; what cannot be one is refused with a reason."""

from __future__ import annotations

import pytest

from tests.convert import draft_of, reasons, sloth

W = "[{{.window}}]"
BAD, ALL = f'sum(rate(x_total{{code=~"5.."}}{W}))', f"sum(rate(x_total{W}))"
COUNT, FAST = f"sum(rate(d_seconds_count{W}))", f'sum(rate(d_seconds_bucket{{le="0.3"}}{W}))'
RATIO = {"ratio": {"errors": 'x_total{code=~"5.."}', "total": "x_total"}}
LATENCY = {"latency": {"histogram": "d_seconds", "threshold": "300ms"}}
PROBE = {"probe": {"metric": "up"}}


@pytest.mark.parametrize(
    ("errors", "total", "sli"),
    [
        (BAD, ALL, RATIO),
        (BAD.replace("{{.window}}", "{{ .window }}"), ALL, RATIO),
        (f"{{% raw %}}{BAD}{{% endraw %}}", ALL, RATIO),
        (BAD.replace("rate", "increase"), ALL.replace("rate", "increase"), RATIO),
        (f"{BAD} or vector(0)", ALL, RATIO),
        (f"{BAD} OR on() vector(0)", f"{ALL} > 0", RATIO),
        (f"{BAD} or 0 * {ALL}", ALL, RATIO),
        (f"sum({BAD})", f"sum(sum by (job) (rate(x_total{W})))", RATIO),
        (f"{COUNT} - {FAST}", COUNT, LATENCY),
        (f"clamp_min({COUNT} - {FAST}, 0)", COUNT, LATENCY),
        (f"({COUNT} - ({FAST} or vector(0))) or vector(0)", COUNT, {"latency": LATENCY["latency"]}),
        (
            f'sum(rate(d_seconds_bucket{{le="+Inf"}}{W})) - {FAST}', f'sum(rate(d_seconds_bucket{{le="+Inf"}}{W}))', LATENCY,
        ),
        (f"{ALL} - sum(rate(y_total{W}))", ALL, {"ratio": {"good": "y_total", "total": "x_total"}}),
        ("sum(count_over_time((up == 0)[{{.window}}:]))", "sum(count_over_time(up[{{.window}}:]))", PROBE),
        (f"sum(count_over_time(up{W})) - sum(sum_over_time(up{W}))", f"sum(count_over_time(up{W}))", PROBE),
    ],
)  # fmt: skip
def test_two_queries_become_an_exact_sli(errors: str, total: str, sli: object) -> None:
    draft = draft_of(sloth(errors, total))
    assert (draft.entry["sli"], draft.grade) == (sli, "exact")


@pytest.mark.parametrize(
    ("ratio", "sli"),
    [
        (f"{BAD} / {ALL}", RATIO),
        (f"({BAD} / ({ALL} > 0)) or on() vector(0)", RATIO),
        (f"1 - (sum(rate(y_total{W})) / {ALL})", {"ratio": {"good": "y_total", "total": "x_total"}}),
        (f"1 - {FAST} / {COUNT}", LATENCY),
        (f"1 - (({FAST} / ({COUNT} > 0)) or on() vector(1))", LATENCY),
        (f"({COUNT} - {FAST}) / {COUNT}", LATENCY),
        (f"1 - sum(sum_over_time(up{W})) / sum(count_over_time(up{W}))", PROBE),
    ],
)
def test_an_error_ratio_becomes_an_exact_sli(ratio: str, sli: object) -> None:
    draft = draft_of(sloth(ratio=ratio))
    assert (draft.entry["sli"], draft.grade) == (sli, "exact")


@pytest.mark.parametrize(
    ("ratio", "sli"),
    [
        (f"1 - avg(avg_over_time(up{W}))", PROBE),
        (f"1 - avg_over_time(up{W})", PROBE),
        (f"avg(avg_over_time(down{W}))", {"threshold": {"value": "down", "at_most": "0"}}),
        (
            f"sum(sum_over_time(down{W})) / sum(count_over_time(down{W}))",
            {"threshold": {"value": "down", "at_most": "0"}},
        ),
    ],
)
def test_a_mean_of_a_gauge_is_counted_by_samples_which_is_said(ratio: str, sli: object) -> None:
    draft = draft_of(sloth(ratio=ratio))
    assert (draft.entry["sli"], draft.grade) == (sli, "changed")


def test_labels_that_both_sides_keep_are_under_by() -> None:
    by = "by (route, zone) "
    draft = draft_of(sloth(BAD.replace("sum", f"sum {by}"), ALL.replace("sum", f"sum {by}")))
    assert draft.entry["by"] == ["route", "zone"]


def test_a_label_that_selectors_fix_is_not_under_by() -> None:
    by = "sum by (route, zone) "
    errors, total = f'{by}(rate(x_total{{zone="a",code="500"}}{W}))', f'{by}(rate(x_total{{zone="a"}}{W}))'
    draft = draft_of(sloth(errors, total))
    assert draft.entry["by"] == ["route"]
    assert any("`zone` is not in `by`" in note.text for note in draft.notes)


def test_a_label_of_the_definition_is_not_under_by() -> None:
    """Rules set it on every series, whatever the metrics have."""
    text = sloth(BAD.replace("sum", "sum by (zone) "), ALL.replace("sum", "sum by (zone) "))
    draft = draft_of(text.replace("service: shop", "service: shop\nlabels: {zone: a}"))
    assert "by" not in draft.entry
    assert draft.grade == "exact"


def test_an_inverted_latency_is_refused_unless_it_shall_be_turned_round() -> None:
    text = sloth(FAST, COUNT)
    assert "inverted" in reasons(text)
    assert "--invert" in reasons(text)
    draft = draft_of(text, invert=True)
    assert (draft.entry["sli"], draft.grade) == (LATENCY, "changed")


def test_an_inverted_ratio_query_is_refused_too() -> None:
    assert "inverted" in reasons(sloth(ratio=f"{FAST} / {COUNT}"))


@pytest.mark.parametrize(
    ("histogram", "bound", "sli"),
    [
        ("d_milliseconds", "200", {"latency": {"histogram": "d_milliseconds", "threshold": "200ms"}}),
        ("d_ms", "2500.0", {"latency": {"histogram": "d_ms", "threshold": "2s500ms"}}),
        ("d_seconds", "1.024", {"latency": {"histogram": "d_seconds", "threshold": "1s24ms"}}),
        ("d_seconds", "0.0005", {"ratio": {"good": 'd_seconds_bucket{le="0.0005"}', "total": "d_seconds_count"}}),
        ("d_seconds", "0.0128", {"ratio": {"good": 'd_seconds_bucket{le="0.0128"}', "total": "d_seconds_count"}}),
        ("d_duration", "200", {"ratio": {"good": 'd_duration_bucket{le="200"}', "total": "d_duration_count"}}),
    ],
)
def test_a_bound_is_a_threshold_where_the_unit_is_known_and_the_bucket_itself_elsewhere(
    histogram: str, bound: str, sli: object
) -> None:
    count, fast = (f"sum(rate({histogram}_{series}{W}))" for series in ("count", f'bucket{{le="{bound}"}}'))
    draft = draft_of(sloth(f"{count} - {fast}", count))
    assert (draft.entry["sli"], draft.grade) == (sli, "exact")


def test_good_events_and_a_total_that_select_different_things_stay_as_they_are() -> None:
    fast, count = f'sum(rate(d_seconds_bucket{{code="200",le="1"}}{W}))', f"sum(rate(d_seconds_count{W}))"
    draft = draft_of(sloth(ratio=f"1 - {fast} / {count}"))
    assert draft.entry["sli"] == {"ratio": {"good": 'd_seconds_bucket{code="200",le="1"}', "total": "d_seconds_count"}}
    assert any("select different things" in note.text for note in draft.notes)


def test_rate_alongside_increase_is_said() -> None:
    draft = draft_of(sloth(BAD, ALL.replace("rate", "increase")))
    assert draft.grade == "changed"
    assert any("wrong by the window's seconds" in note.text for note in draft.notes)


@pytest.mark.parametrize(
    ("errors", "total", "reason"),
    [
        (BAD.replace("{{.window}}", "5m"), ALL, "looks back over no window"),
        (f"{BAD} + sum(rate(y_total[5m]))", ALL, "looks back a fixed 5m"),
        (BAD, "sum(x_total)", "looks back over no window"),
        (BAD.replace("sum", "sum by (zone)"), ALL, "do not find each other"),
        (f"histogram_quantile(0.9, sum by (le) (rate(d_seconds_bucket{W}))) > 1", COUNT, "a quantile is not a number of events"),
        (f"rate(x_total{W})", f"rate(x_total{W})", "several series"),
        (f"{BAD} default 0", ALL, "not PromQL as Prometheus reads it"),
        (f"sum(irate(x_total{W}))", ALL, "counts no events"),
        (BAD.replace("{{.window}}", "{{.period}}"), ALL, "template action"),
        (f'sum by (code) (rate(x_total{{code="500"}}{W}))', f"sum by (code) (rate(x_total{W}))", "hold one value only"),
        (f"sum(rate(d_seconds_bucket{W}))", COUNT, "counts every bucket"),
        (f"sum by (slo) (rate(x_total{W}))", f"sum by (slo) (rate(y_total{W}))", "label `slo` is set by the rules"),
    ],
)  # fmt: skip
def test_what_counts_no_events_over_the_window_is_refused(errors: str, total: str, reason: str) -> None:
    assert reason in reasons(sloth(errors, total))


@pytest.mark.parametrize(
    ("ratio", "becomes"),
    [
        (f"1 - max(max_over_time(health{W}))", "1 - max(max_over_time(health[$window]))"),
        ("avg_over_time(job:errors:ratio[{{.window}}]) * 2", None),
        (f"max(avg_over_time(bad{W})) + 0", "max(avg_over_time(bad[$window])) + 0"),
    ],
)
def test_a_ratio_without_counts_is_kept_and_flagged(ratio: str, becomes: str | None) -> None:
    if becomes is None:
        assert "can give several series" in reasons(sloth(ratio=ratio))
        return
    draft = draft_of(sloth(ratio=ratio))
    assert draft.entry["sli"] == {"raw": {"ratio": becomes}}
    assert draft.grade == "changed"
    assert any("not weighted by traffic" in note.text for note in draft.notes)


def test_ratios_by_label_without_counts_are_refused() -> None:
    assert "without numbers of events" in reasons(sloth(ratio=f"max by (zone) (max_over_time(health{W}))"))


def test_other_counts_are_kept_as_promql() -> None:
    errors = f"sum(rate(a_total{W})) + sum(rate(b_total{W}))"
    draft = draft_of(sloth(errors, ALL))
    assert draft.entry["sli"] == {
        "raw": {"errors": errors.replace("{{.window}}", "$window"), "total": "sum(rate(x_total[$window]))"}
    }
