"""What is called exact gives one figure: the error ratio of an expression that people write, and that of the SLI made of it."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from slo.convert.write import file_text
from slo.promql.ast import Node
from slo.promql.engine import Engine
from slo.promql.parse import parse
from slo.promql.samples import Samples
from slo.sli.tile import Tile
from slo.spec.load import loads
from slo.window import HOUR
from tests.convert import imported, sloth

EXAMPLES = 400 if os.environ.get("SLO_SLOW") else 15
END = 1_790_000_000_000 // HOUR * HOUR
TIMES = END - 30_000 * np.arange(3 * 120, -1, -1, dtype=np.int64)
TICKS = np.arange(len(TIMES), dtype=np.float64)
# Events of a scrape; no sum of some of them is that of others.
COUNTERS = {
    ("a_total", ""): 3.0, ("b_total", ""): 7.0, ("c_total", ""): 101.0, ("d_seconds_count", ""): 211.0,
    ("x_total", 'code="200"'): 401.0, ("x_total", 'code="500"'): 13.0, ("x_total", 'code="503"'): 29.0,
    ("d_seconds_bucket", 'le="0.1"'): 53.0, ("d_seconds_bucket", 'le="0.5"'): 151.0, ("d_seconds_bucket", 'le="+Inf"'): 211.0,
}  # fmt: skip


def rows() -> list[tuple[dict[str, str], np.ndarray, np.ndarray]]:
    """Counters that grow evenly, two checks that fail now and then, and a load; of two instances and two routes each."""
    made = []
    for number, (instance, route) in enumerate((i, r) for i in "ij" for r in ("/", "/search")):
        labels = {"job": "shop", "instance": instance, "route": route}
        for (name, matcher), each in COUNTERS.items():
            key, _, value = matcher.partition("=")
            own = {key: value.strip('"')} if key else {}
            made.append(({"__name__": name, **labels, **own}, TIMES, 1000 + (each + number) * TICKS))
        made.append(({"__name__": "up", **labels}, TIMES, (TICKS % (5 + number) > 0).astype(np.float64)))
        made.append(({"__name__": "missing", **labels}, TIMES, TICKS % 3))
        made.append(({"__name__": "replicas", **labels}, TIMES, 5.0 + TICKS * 0))
    return made


ENGINE = Engine(Samples.from_series(rows()))
PLAIN = ("a_total", "b_total", "c_total", "x_total", "d_seconds_count")
SELECTORS = (*PLAIN, 'x_total{code="500"}', 'x_total{code=~"5.."}', 'd_seconds_bucket{le="0.1"}', 'd_seconds_bucket{le="0.5"}',
             'd_seconds_bucket{le="+Inf"}', '{__name__=~"a_total|b_total"}')  # fmt: skip


@st.composite
def term(draw: st.DrawFn, by: str, func: str, of: tuple[str, ...] = SELECTORS) -> str:
    """One counter added up, written in one of the many ways."""
    inner = f"{func}({draw(st.sampled_from(of))}[{{{{.window}}}}])"
    inner = draw(st.sampled_from([inner, inner, f"clamp_min({inner}, 0)", REPLACED.format(inner)]))
    text = f"sum{by}({inner})" if draw(st.booleans()) else f"sum({inner}){by}"
    ways = [text, text, f"({text})", f"clamp_min({text}, 0)", f"({text} >= 0)", f"sum{by}({text})"]
    return draw(st.sampled_from(ways if by else [*ways, f"({text} or vector(0))", f"({text} OR on() vector(0))"]))


REPLACED = 'label_replace({}, "other", "$1", "instance", "(.*)")'


@st.composite
def counts(draw: st.DrawFn) -> tuple[str, str]:
    """Queries of errors and of all events."""
    by = draw(st.sampled_from(["", "", " by (route) ", " by (route, instance) "]))
    func = draw(st.sampled_from(["rate", "increase"]))
    totals = draw(st.lists(term(by, func, PLAIN), min_size=1, max_size=2))
    total = " + ".join(totals)
    part = " + ".join(f"({text})" for text in draw(st.lists(term(by, func), min_size=1, max_size=2)))
    if draw(st.booleans()):
        part = f"({total}) - ({part})"
    if draw(st.booleans()):
        part, total = f"({part}) * 60", f"60 * ({total})"
    return part, draw(st.sampled_from([total, f"({total}) > 0"]))


@st.composite
def ratios(draw: st.DrawFn) -> str:
    """Queries of an error ratio."""
    part, total = draw(counts())
    ratio = f"({part}) / ({total})"
    text = draw(
        st.sampled_from(
            [
                ratio,
                f"1 - {ratio}",
                f"100 * {ratio} / 100",
                f"(100 - 100 * ({ratio})) / 100",
                f"({ratio}) * 1",
                f"100 * {ratio}",
            ]
        )
    )
    return draw(
        st.sampled_from([text, f"({text}) or vector(0)", f"clamp_max({text}, 1)"])
        if "by" not in part
        else st.just(text)
    )


GAUGES = [
    "1 - avg(avg_over_time(up[{{.window}}]))", "1 - sum(sum_over_time(up[{{.window}}])) / sum(count_over_time(up[{{.window}}]))",
    "sum(count_over_time((up == 0)[{{.window}}:30s])) / sum(count_over_time(up[{{.window}}:30s]))",
    "avg(avg_over_time((up == bool 0)[{{.window}}:30s]))", "1 - avg(avg_over_time((up == bool 1)[{{.window}}:30s]))",
    "avg by (route) (avg_over_time((1 - up)[{{.window}}:30s]))", "1 - avg by (route) (avg_over_time(up[{{.window}}]))",
    "sum(sum_over_time(missing[{{.window}}])) / sum(sum_over_time(replicas[{{.window}}]))",
    "sum by (route) (sum_over_time(missing[{{.window}}])) / sum by (route) (sum_over_time(replicas[{{.window}}]))",
    "sum(count_over_time(up[{{.window}}]) - sum_over_time(up[{{.window}}])) / sum(count_over_time(up[{{.window}}]))",
]  # fmt: skip


def values(node: Node, labels: list[str]) -> dict[tuple[str, ...], float]:
    """The values at the end, by these labels."""
    found = ENGINE.query(node, END / 1000).series
    return {tuple(series.labels.get(label, "") for label in labels): float(series.values[-1]) for series in found}


def check_alike(text: str) -> str:
    """That what is exact has the original's figure, for each value of `by`; returns the grade."""
    result = imported(text)
    if not result.drafts:
        return "refused"
    [draft] = result.drafts
    if draft.grade != "exact":
        return draft.grade
    [service] = loads(file_text(result), "x.yaml", [])
    [slo] = service.slos
    original = {role: query.replace("$window", "1h") for role, query in draft.original.items()}
    theirs = original.get("ratio") or f"({original['errors']}) / ({original['total']})"
    tile = Tile(HOUR, by=slo.by)
    errors, total = (values(node, list(slo.by)) for node in (slo.sli.errors_tile(tile), slo.sli.total_tile(tile)))
    ours = {key: errors.get(key, 0.0) / total[key] for key in total if total[key]}
    if not all(0 <= ratio <= 1 for ratio in ours.values()):
        return "impossible"  # such figures are withheld here, and there clamped, or not
    # `increase` extrapolates at the edges, alike on both sides; a subquery takes the scrapes at its steps.
    assert ours == pytest.approx(values(parse(theirs), list(slo.by)), rel=0.01, abs=2e-3), (text, draft.entry)
    return f"exact {draft.kind}"


@settings(max_examples=EXAMPLES)
@given(counts())
def test_what_is_exact_of_two_queries_has_the_originals_figure(drawn: tuple[str, str]) -> None:
    errors, total = (text.replace("'", "''") for text in drawn)
    event(check_alike(sloth(errors, total)))


@settings(max_examples=EXAMPLES)
@given(ratios())
def test_what_is_exact_of_a_ratio_has_the_originals_figure(drawn: str) -> None:
    event(check_alike(sloth(ratio=drawn)))


@pytest.mark.parametrize("query", GAUGES)
def test_what_is_exact_of_a_gauge_has_the_originals_figure(query: str) -> None:
    assert check_alike(sloth(ratio=query)).startswith("exact")
