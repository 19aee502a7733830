"""From an expression to an SLI, in the order in which it is looked at; what cannot be one is refused with a reason."""

from __future__ import annotations

from typing import Any

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
        (f"1 - avg_over_time(up{W})", PROBE),
        ("avg_over_time((1 - up)[{{.window}}:1m])", PROBE),
        ("avg_over_time((up == bool 0)[{{.window}}:])", PROBE),
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
        ("d_seconds", "0.0005", {"latency": {"histogram": "d_seconds", "threshold": "500us"}}),
        ("d_seconds", "0.0128", {"latency": {"histogram": "d_seconds", "threshold": "12.8ms"}}),
        ("d_us", "0.25", {"latency": {"histogram": "d_us", "threshold": "250ns"}}),
        ("d_seconds", "0", {"ratio": {"good": 'd_seconds_bucket{le="0"}', "total": "d_seconds_count"}}),
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


def test_what_only_raw_holds_keeps_its_labels() -> None:
    ratio = draft_of(sloth(ratio=f"max by (zone) (max_over_time(health{W}))"))
    assert (ratio.entry["sli"], ratio.entry["by"]) == (
        {"raw": {"ratio": "max by (zone) (max_over_time(health[$window]))"}}, ["zone"],
    )  # fmt: skip
    errors, total = (f"sum by (zone, app) (sum_over_time({name}{W}))" for name in ("missing", "replicas"))
    draft = draft_of(sloth(errors, total))
    assert (draft.entry["by"], draft.kind, draft.grade) == (["zone", "app"], "raw", "exact")
    # The definition sets `zone` on every series, so that it cannot be one of those by which they differ.
    own = draft_of(sloth(errors, total).replace("service: shop", "service: shop\nlabels: {zone: a}"))
    assert own.entry["by"] == ["app"]
    assert own.entry["sli"]["raw"]["total"] == "sum by (app) (sum by (zone, app) (sum_over_time(replicas[$window])))"


def test_other_counts_are_kept_as_promql() -> None:
    errors = f"sum(rate(a_total{W})) and sum(rate(b_total{W}))"
    draft = draft_of(sloth(errors, ALL))
    assert draft.entry["sli"] == {
        "raw": {"errors": errors.replace("{{.window}}", "$window"), "total": "sum(rate(x_total[$window]))"}
    }


def counted(metric: str) -> str:
    return f"sum(rate({metric}{W}))"


A, B, C = counted("a_total"), counted("b_total"), counted("c_total")
MANY, BAD_C, FINE = (counted(f"c_total{{code{matcher}}}") for matcher in ('="429"', '=~"5.."', '="200"'))


@pytest.mark.parametrize(
    ("errors", "total", "ratio"),
    [
        (f"{A} + {B}", C, {"errors": ["a_total", "b_total"], "total": "c_total"}),
        (f"({A} or vector(0)) + ({B} or vector(0))", C, {"errors": ["a_total", "b_total"], "total": "c_total"}),
        (A, f"{A} + {B}", {"errors": "a_total", "good": "b_total"}),
        (f"{A} + {B}", f"{A} + ({B} + {C})", {"errors": ["a_total", "b_total"], "good": "c_total"}),
        (f"{C} - {A} - {B}", C, {"good": ["a_total", "b_total"], "total": "c_total"}),
        (f"{C} - ({A} + {B})", C, {"good": ["a_total", "b_total"], "total": "c_total"}),
        (f"({A} + {B}) - {C}", f"{B} + {A}", {"good": "c_total", "total": ["b_total", "a_total"]}),
        (f"{A} * 60", f"60 * {C}", {"errors": "a_total", "total": "c_total"}),
        (counted('{__name__=~"a_total|b_total"}'), C, {"errors": ["a_total", "b_total"], "total": "c_total"}),
        (
            f"{MANY} + {BAD_C}", C,
            {"errors": ['c_total{code="429"}', 'c_total{code=~"5.."}'], "total": "c_total"},
        ),
        (
            MANY, f"{MANY} + {FINE}",
            {"errors": 'c_total{code="429"}', "total": ['c_total{code="429"}', 'c_total{code="200"}']},
        ),
        (f'sum(rate(c_total{W}) - rate(c_total{{code="200"}}{W}))', C, {"good": 'c_total{code="200"}', "total": "c_total"}),
    ],
)  # fmt: skip
def test_sums_of_several_counters_become_lists(errors: str, total: str, ratio: object) -> None:
    draft = draft_of(sloth(errors, total))
    assert (draft.entry["sli"], draft.grade) == ({"ratio": ratio}, "exact")
    by_x = draft_of(sloth(*(text.replace("sum(", "sum by (x) (") for text in (errors, total))))
    assert (by_x.entry["sli"], by_x.entry["by"], by_x.grade) == ({"ratio": ratio}, ["x"], "exact")


@pytest.mark.parametrize(
    ("ratio", "sli"),
    [
        (f"100 * {A} / {C} / 100", {"ratio": {"errors": "a_total", "total": "c_total"}}),
        (f"(100 - 100 * ({A} / {C})) / 100", {"ratio": {"good": "a_total", "total": "c_total"}}),
        (f"1 - {A} / ({A} + {B})", {"ratio": {"good": "a_total", "errors": "b_total"}}),
        (f"-({A} / {C}) + 1", {"ratio": {"good": "a_total", "total": "c_total"}}),
        (f"1 - avg(avg_over_time(up{W}))", PROBE),
        ("1 - avg(avg_over_time((up == bool 1)[{{.window}}:]))", PROBE),
        (
            "avg(avg_over_time((load > bool 5)[{{.window}}:1m]))",
            {"threshold": {"value": "load", "at_most": "5", "slice": "1m"}},
        ),
    ],
)
def test_ratios_written_otherwise(ratio: str, sli: object) -> None:
    draft = draft_of(sloth(ratio=ratio))
    assert (draft.entry["sli"], draft.grade) == (sli, "exact")


@pytest.mark.parametrize("ratio", [f"100 * {A} / {C}", f"100 - 100 * {A} / {C}", f"({A} / {C}) * 100"])
def test_a_percentage_in_the_place_of_a_ratio_is_refused(ratio: str) -> None:
    """Read as a ratio, 0.1% errors would be 10%."""
    assert "gives a percentage" in reasons(sloth(ratio=ratio))


@pytest.mark.parametrize(
    ("around", "by", "note"),
    [
        (lambda q: f'sum by (pod) (label_replace({q}, "to", "$1", "pod", "(.*)"))', ["pod"], ""),
        (lambda q: f'sum(label_replace({q}, "to", "x$1", "pod", "a(.*)"))', None, ""),
        (lambda q: f'sum by (to) (label_replace({q}, "to", "$1", "pod", "(.*)"))', ["pod"], "under another name"),
        (lambda q: f'label_replace(sum by (pod) ({q}), "to", "${{1}}", "pod", "(.+)")', ["pod"], "is left out"),
        (lambda q: f'label_replace(sum({q}), "to", "x", "", "")', None, "add it under `labels`"),
    ],
)
def test_a_label_replace_that_makes_no_groups_is_taken_off(around: Any, by: object, note: str) -> None:
    draft = draft_of(sloth(around(f"rate(a_total{W})"), around(f"rate(c_total{W})")))
    assert draft.entry["sli"] == {"ratio": {"errors": "a_total", "total": "c_total"}}
    assert draft.entry.get("by") == by
    changed = [entry.text for entry in draft.notes if entry.changed]
    assert (draft.grade == "changed") is bool(note) and all(note in text for text in changed)


def test_errors_that_vanish_where_there_are_none_are_said() -> None:
    """A mean of ratios over the window leaves these moments out, so that it is larger."""
    assert draft_of(sloth(f"{A} > 0", C)).grade == "changed"
    assert draft_of(sloth(f"{A} >= 0", f"{C} > 0")).grade == "exact"


def test_series_that_are_added_one_by_one_are_said() -> None:
    assert draft_of(sloth(f"sum(rate(a_total{W}) + rate(b_total{W}))", C)).grade == "changed"


@pytest.mark.parametrize(
    ("errors", "total"),
    [
        ("count_over_time((up == 0)[{{.window}}:])", "count_over_time(up[{{.window}}:])"),
        (f"count_over_time(up{W}) - sum_over_time(up{W})", f"count_over_time(up{W})"),
    ],
)
def test_checks_of_each_series_for_itself_have_one_budget_which_is_said(errors: str, total: str) -> None:
    draft = draft_of(sloth(errors, total))
    assert (draft.entry["sli"], draft.grade) == (PROBE, "changed")
    assert any("a ratio for each series there" in note.text for note in draft.notes)
    together = draft_of(sloth(f"sum({errors})", f"sum({total})"))
    assert (together.entry["sli"], together.grade) == (PROBE, "exact")
