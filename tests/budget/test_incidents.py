"""Incidents: whole, disjoint, and those that a simulation planted."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from slo.budget.evaluate import evaluate
from slo.budget.incidents import INCIDENT_BURN, INCIDENT_SHARE, QUIET_MS, Stretch, find_incidents
from slo.budget.model import Budget
from slo.source.simulation import simulate
from slo.spec.load import load
from slo.window import MINUTE
from tests.budget.test_evaluate import END, ratio_slo, steps
from tests.memory import Memory

STEP = 5 * MINUTE
Floats = np.ndarray


def found(errors: Floats, total: Floats, budget: float = 0.01, burn: float = 2.0, share: float = 0.01) -> list[Stretch]:
    """Over one window: the allowed errors are those of all its events."""
    return list(find_incidents(errors, total, budget, budget * float(total.sum()), STEP, burn, share))


def spans(stretches: Sequence[Stretch]) -> list[tuple[int, int]]:
    return [(span.low, span.high) for span in stretches]


@st.composite
def histories(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Whole errors and events per step: quiet and idle stretches, bursts, outages, in pieces of drawn lengths."""
    pieces = draw(
        st.lists(
            st.tuples(
                st.integers(1, 60),
                st.sampled_from([0, 0, 1, 20, 1000, 50_000]),
                st.sampled_from([0.0, 0.0, 0.005, 0.015, 0.02, 0.03, 0.2, 1.0]),
            ),
            min_size=1,
            max_size=12,
        )
    )
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    total = np.concatenate([np.full(length, events) for length, events, _ in pieces])
    chance = np.concatenate([np.full(length, ratio) for length, _, ratio in pieces])
    return random.binomial(total, chance).astype(np.float64), total.astype(np.float64)


@given(histories(), st.sampled_from([1.0, 2.0, 3.0]))
@settings(max_examples=300)
def test_incidents_are_disjoint_ordered_and_count_what_lies_in_them(
    history: tuple[Floats, Floats], burn: float
) -> None:
    errors, total = history
    incidents = found(errors, total, burn=burn)
    edges = [edge for incident in incidents for edge in (incident.low, incident.high)]
    assert edges == sorted(set(edges))
    assert sum(incident.errors for incident in incidents) <= errors.sum()
    for stretch in incidents:
        assert stretch.errors == errors[stretch.low : stretch.high].sum()
        assert stretch.total == total[stretch.low : stretch.high].sum()
        assert stretch.share == pytest.approx(stretch.errors / (0.01 * total.sum())) and stretch.share >= 0.01 * (
            1 - 1e-6
        )
        assert errors[stretch.low] > 0 and errors[stretch.high - 1] > 0
        # At the bound or above, pauses included: all of it, and every part from its start, and to its end, that is
        # bounded by errors at the bound.
        excess = np.concatenate([[0.0], np.cumsum((errors - burn * 0.01 * total)[stretch.low : stretch.high])])
        assert excess.min() >= -1e-6 and excess.max() <= excess[-1] + 1e-6


def could_be_one(errors: Floats, total: Floats, this_stretch: Stretch, other: Stretch, burn: float = 2.0) -> bool:
    """By the definition, in plain loops: each with the pause burns at the bound, and no part of the pause is quiet."""
    bound = burn * 0.01

    def above(low: int, high: int) -> bool:
        return bool(errors[low:high].sum() >= bound * total[low:high].sum() + 1e-6)

    if not (above(this_stretch.low, other.low) and above(this_stretch.high, other.high)):
        return False
    busy = np.flatnonzero(total)
    usual = total.sum() / (busy[-1] - busy[0] + 1) * QUIET_MS / STEP
    slack = min(10, 0.1 * 0.01 * total.sum())
    for low, high in itertools.combinations(range(this_stretch.high, other.low + 1), 2):
        events, bad = total[low:high].sum(), errors[low:high].sum()
        if events > usual and 2 * bad + slack < bound * events:
            return False
    return True


@pytest.mark.parametrize(("pause", "incidents"), [(20, [(1000, 1032)]), (30, [(1000, 1006), (1036, 1042)])])
def test_two_hours_of_the_traffic_that_there_is_are_a_pause(pause: int, incidents: list[tuple[int, int]]) -> None:
    """The service is a day old in a window of four: 24 steps of 5 m have 24,000 of its events, whatever was before."""
    total, errors = np.zeros(1288), np.zeros(1288)
    total[1000:] = 1000
    errors[1000:1006] = errors[1006 + pause : 1012 + pause] = 500
    assert spans(found(errors, total)) == incidents


def test_the_first_and_the_last_step_count() -> None:
    """All traffic is in the last step, or an incident begins with the first one."""
    total, errors = np.zeros(288), np.zeros(288)
    total[-1], errors[-1] = 1000, 500
    assert found(errors, total) == [Stretch(287, 288, 500, 1000, 50)]
    total[:], errors[:] = 1000, 0
    errors[:3] = 500
    assert found(errors, total) == [Stretch(0, 3, 1500, 3000, 1500 / 2880)]


@pytest.mark.parametrize(("allowed", "many"), [(0.5, 1), (0.0, 0)])
def test_a_budget_of_less_than_one_error_has_incidents(allowed: float, many: int) -> None:
    total, errors = np.full(288, 100.0), np.zeros(288)
    errors[100:103] = 50
    assert len(find_incidents(errors, total, 0.01, allowed, STEP)) == many


@pytest.mark.parametrize(("pause", "incidents"), [(24, 1), (25, 2)])
def test_a_pause_of_exactly_two_hours_of_traffic_is_none(pause: int, incidents: int) -> None:
    """The day has 100 events in each step; more than 24 of them without an error end an incident."""
    total, errors = np.full(288, 100.0), np.zeros(288)
    errors[100:106] = errors[106 + pause : 112 + pause] = 50
    assert len(found(errors, total)) == incidents


@pytest.mark.parametrize(
    ("each", "errors_between", "incidents"),
    [
        (1000.0, 114, 2),  # of 24,000 + 1,000 events half the bound are 250 errors, and with ten to spare 245
        (1000.0, 244, 2),
        (1000.0, 245, 1),
        (10.0, 0, 2),  # 250 events: five errors at the bound, 2.88 to spare
    ],
)
def test_a_pause_is_quiet_at_half_the_bound_with_a_few_errors_to_spare(
    each: float, errors_between: float, incidents: int
) -> None:
    """One incident, 25 steps of a pause with some errors in its middle, another one; 28.8 or 2,880 errors are allowed."""
    total, errors = np.full(288, each), np.zeros(288)
    errors[100:106] = errors[131:137] = each / 2
    # Below the bound in each step, so that none is an incident of its own.
    errors[106:131] = errors_between / 25
    assert len(found(errors, total, share=0.02)) == incidents


def test_a_burn_out_of_reach_is_failing_altogether() -> None:
    """Where half may fail twice the budget is everything, and three times is no more than that."""
    total, errors = np.full(288, 100.0), np.zeros(288)
    errors[100:110], errors[200:210] = 100, 99
    assert spans(found(errors, total, budget=0.5, burn=3.0)) == [(100, 110)]
    assert spans(found(errors, total, budget=0.25, burn=3.9)) == [(100, 110), (200, 210)]


@given(histories())
@settings(max_examples=300)
def test_no_two_neighbours_could_be_one(history: tuple[Floats, Floats]) -> None:
    errors, total = history
    # All that burns, however little it consumed: none of these is left out between two others.
    incidents = found(errors, total, share=0.0)
    for earlier, other in itertools.pairwise(incidents):
        assert not could_be_one(errors, total, earlier, other)


@given(histories())
@settings(max_examples=200)
def test_finding_again_in_the_incidents_alone_finds_the_same(history: tuple[Floats, Floats]) -> None:
    """Idempotent: each incident is whole by itself, and errors outside of all of them made none."""
    errors, total = history
    for stretch in found(errors, total):
        alone = np.zeros_like(errors)
        alone[stretch.low : stretch.high] = errors[stretch.low : stretch.high]
        assert (stretch.low, stretch.high) in spans(found(alone, total))


@given(
    c=st.floats(1.5, 5.0),
    burn=st.sampled_from([1.0, 2.0, 3.0]),
    start=st.integers(0, 8000),
    length=st.integers(12, 8640),
    each=st.sampled_from([30.0, 1000.0, 1e6]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_a_constant_burn_is_one_incident_of_any_length(
    c: float, burn: float, start: int, length: int, each: float, seed: int
) -> None:
    """1.5 to 5 times the bound, drawn by chance, with a tenth of the bound alongside it."""
    end = min(8640, start + length)
    total = np.full(8640, each)
    chance = np.full(8640, 0.1 * burn * 0.01)
    chance[start:end] = c * burn * 0.01
    errors = np.random.default_rng(seed).binomial(total.astype(int), chance).astype(np.float64)
    at_bound = burn * 0.01 * each  # errors a step
    assume((end - start) * at_bound * (c - 1) > 100 and (end - start) * c * burn / 8640 > 0.015)
    [incident] = found(errors, total, burn=burn)
    # Ten errors at the bound, at the lesser excess more: that is what chance moves an edge by.
    tolerance = 2 + 20 / at_bound / min(1.0, c - 1)
    assert abs(incident.low - start) <= tolerance and abs(incident.high - end) <= tolerance
    outside = errors[: incident.low].sum() + errors[incident.high :].sum()
    assert incident.errors + outside == errors.sum()


@given(c=st.floats(1.0, 40.0), length=st.integers(1, 9000), budget=st.sampled_from([0.0001, 0.001, 0.01]))
def test_an_even_burn_at_the_bound_or_above_is_one_incident_to_the_step(c: float, length: int, budget: float) -> None:
    total = np.full(9100, 1e7)
    errors = np.zeros(9100)
    errors[50 : 50 + length] = c * 2 * budget * 1e7
    assume(c * 2 * length / 9100 > 0.0101)
    assert spans(found(errors, total, budget)) == [(50, 50 + length)]


def test_a_burn_below_the_bound_is_none() -> None:
    total = np.full(8640, 1e5)
    assert not found(np.full(8640, 1.9 * 0.01 * 1e5), total)
    assert not found(np.zeros(8640), total) and not found(np.zeros(8640), np.zeros(8640))


@given(night=st.floats(0.0, 0.02), hours=st.integers(4, 16), c=st.floats(1.5, 5), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_idle_nights_do_not_split_a_slow_burn(night: float, hours: int, c: float, seed: int) -> None:
    """Six days of a slow burn; by night there is little traffic, or none."""
    asleep = np.arange(8640) % 288 < hours * 12
    total = np.round(np.where(asleep, night * 400, 400.0))
    chance = np.full(8640, 0.001)
    chance[2000 : 2000 + 6 * 288] = c * 0.02
    errors = np.random.default_rng(seed).binomial(total.astype(int), chance).astype(np.float64)
    [incident] = found(errors, total)
    assert incident.errors >= 0.97 * errors[2000 : 2000 + 6 * 288].sum()
    assert incident.high - incident.low <= 6 * 288 + 2 * 12 * hours


def test_a_slow_burn_of_four_days_is_one_incident_and_needs_its_postmortem() -> None:
    """Four or five errors an hour, at three times the pace: 40 % of the budget."""
    good, bad = np.full(34 * 288, 38.0), np.zeros(34 * 288)
    random = np.random.default_rng(11)
    start = len(good) - 10 * 288
    bad[start : start + 4 * 288] = random.poisson(38 * 0.01 * 3, 4 * 288)
    budget = evaluate(ratio_slo("99"), steps(good, bad, STEP), END)
    [incident] = budget.incidents
    assert incident.errors >= 0.99 * bad.sum()
    assert incident.budget_share == pytest.approx(0.4, abs=0.03)
    [postmortem] = [text for text in budget.policy_actions if "postmortem" in text]
    assert "10 Nov" in postmortem


@given(st.integers(2, 50), st.lists(st.tuples(st.integers(0, 8000), st.integers(1, 600)), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_more_traffic_leaves_incidents_where_they_are(factor: int, bursts: list[tuple[int, int]]) -> None:
    """Where traffic is dense already, so that chance plays no part, to the step."""
    total = np.full(8640, 1e6)
    errors = np.full(8640, 0.001 * 1e6)
    for start, length in bursts:
        errors[start : start + length] = 0.3 * 1e6
    assert spans(found(errors, total)) == spans(found(errors * factor, total * factor))


@given(st.floats(2, 20), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_sparse_traffic_moves_edges_by_a_few_errors_only(factor: float, seed: int) -> None:
    """The same history at a fraction of its traffic, each event kept by chance."""
    random = np.random.default_rng(seed)
    total = np.full(8640, 20_000)
    chance = np.full(8640, 0.001)
    for start, length, ratio in ((1000, 12, 0.3), (3000, 900, 0.06), (7000, 100, 0.06)):
        chance[start : start + length] = ratio
    errors = random.binomial(total, chance)
    thin = random.binomial(total, 1 / factor / 20)
    thin_errors = random.hypergeometric(errors, total - errors, thin)
    dense, sparse = (
        found(errors.astype(float), total.astype(float)),
        found(thin_errors.astype(float), thin.astype(float)),
    )
    assert len(dense) == len(sparse) == 3
    tolerance = 2 + 15 / (0.02 * 20_000 / factor / 20)
    for entry, other in zip(dense, sparse, strict=True):
        assert abs(entry.low - other.low) <= tolerance and abs(entry.high - other.high) <= tolerance


@pytest.mark.parametrize(("pause_hours", "expected"), [(0.5, 1), (1.9, 1), (2.2, 2), (30, 2)])
def test_a_quiet_pause_ends_an_incident_and_a_short_one_does_not(pause_hours: float, expected: int) -> None:
    total = np.full(8640, 1e4)
    errors = np.full(8640, 0.001 * 1e4)
    pause = round(pause_hours * 12)
    errors[1000:1012] = errors[1012 + pause : 1024 + pause] = 5000
    assert len(found(errors, total)) == expected


def test_a_pause_that_still_burns_at_the_pace_does_not_end_one() -> None:
    """A slow burn of 2.5 times the pace that is at 1.5 for six hours in the middle."""
    total = np.full(8640, 1e5)
    errors = np.zeros(8640)
    errors[1000:2000] = 2.5 * 1000
    errors[1400:1472] = 1.5 * 1000
    assert spans(found(errors, total)) == [(1000, 2000)]


def test_a_single_error_among_few_is_not_an_incident_unless_it_takes_a_tenth_of_the_budget() -> None:
    total = np.full(8640, 1.0)
    errors = np.zeros(8640)
    errors[[100, 4000, 7000]] = 1
    assert not found(errors, total, 0.01)  # 86 are allowed
    assert len(found(errors, total, 0.001)) == 3  # 8.6 are allowed
    errors[7001:7003] = 1
    assert spans(found(errors, total, 0.01)) == [(7000, 7003)]
    single = np.zeros(1000)
    single[400] = 1
    assert spans(found(single, np.full(1000, 1.0), 0.01)) == [(400, 401)]  # 10 are allowed: it takes a tenth
    assert not found(single, np.full(1000, 1.0), 0.011)


def test_an_incident_does_not_begin_where_it_has_burned_too_slowly_up_to_its_burst() -> None:
    """One bad step, ten without errors, and the burst: over the first eleven less than twice the budget's pace."""
    total, errors = np.full(8640, 100.0), np.zeros(8640)
    errors[100], errors[111:131] = 5, 50
    assert spans(found(errors, total, 0.01)) == [(111, 131)]
    errors[100] = 22  # just the pace
    assert spans(found(errors, total, 0.01)) == [(100, 131)]


def test_without_events_or_budget_there_are_not_incidents() -> None:
    nothing, some = np.zeros(100), np.full(100, 5.0)
    assert find_incidents(nothing, nothing, 0.01, 5.0, STEP) == ()
    assert find_incidents(some, some, 0.01, 0.0, STEP) == ()


def test_a_bound_that_nothing_can_reach_is_a_full_outage() -> None:
    """At an objective of 40 % twice the pace would be 120 % errors."""
    total = np.full(8640, 100.0)
    errors = np.full(8640, 20.0)
    errors[500:1000] = 100
    assert spans(found(errors, total, 0.6)) == [(500, 1000)]


DEFINITION = """\
service: shop
defaults: {scrape_interval: 2m}
slos:
"""
RATIO = """\
  - name: ratio-{0}
    objective: {1}
    window: {2}
    sli: {{ratio: {{errors: 'a{0}_total{{code=~"5.."}}', total: 'a{0}_total'}}}}
  - name: latency-{0}
    objective: {1}
    window: {2}
    sli: {{latency: {{histogram: b{0}_seconds, threshold: 300ms}}}}
"""
TARGETS = (("99", "30d"), ("99.9", "28d"), ("95", "7d"))


@pytest.mark.parametrize("seed", range(1, 6))
def test_on_a_recording_the_incidents_found_are_those_planted(tmp_path: Path, seed: int) -> None:
    """One to one: those of the share or more, and of those nearer to each other than a quiet pause, together.

    Starts and ends lie within two steps and the time in which fifteen errors come at the bound.
    """
    text = DEFINITION + "".join(RATIO.format(n, *target) for n, target in enumerate(TARGETS))
    (tmp_path / "shop.yaml").write_text(text)
    specs = load(tmp_path / "shop.yaml")
    samples, header = simulate(specs, days=31, seed=seed, end_ms=END)
    matched = 0
    for slo in specs.values():
        budget = evaluate(slo, Memory(samples, END), END)
        planted = [incident for incident in header.truth["incidents"] if incident["slo"] == slo.id]
        matched += match(budget, planted)
    assert matched >= 2 * len(specs)


def match(budget: Budget, planted: list[dict[str, int]]) -> int:
    """Pairs each incident found with a planted one. How many there were."""
    step = budget.counts.grid.step_ms
    start_ms = round(budget.start.timestamp() * 1000)
    first = budget.counts.grid.steps - round((budget.end - budget.start).total_seconds() * 1000 / step)
    total = budget.counts.total[first:]
    usual = total.sum() * QUIET_MS / (step * len(total))

    def place(at_ms: int) -> int:
        return (at_ms - start_ms) // step

    groups: list[list[dict[str, int]]] = []
    for one in sorted(planted, key=lambda entry: entry["start_ms"]):
        if one["end_ms"] <= start_ms or one["errors"] < 0.02 * budget.allowed_errors:
            continue
        near = groups and total[place(groups[-1][-1]["end_ms"]) : place(one["start_ms"])].sum() < 1.3 * usual
        groups[-1:] = [[*groups[-1], one]] if near else [*groups[-1:], [one]]
    large = [stretch for stretch in budget.incidents if stretch.budget_share >= 0.022]
    paired = 0
    for incident in large:
        low, high = (round(at.timestamp() * 1000) for at in (incident.start, incident.end))
        inside = [group for group in groups if group[0]["start_ms"] < high and low < group[-1]["end_ms"]]
        assert len(inside) == 1, (budget.slo.id, incident, groups)
        for at_ms, edge in ((low, inside[0][0]["start_ms"]), (high, inside[0][-1]["end_ms"])):
            if edge <= start_ms:
                continue
            # By the traffic about the edge.
            around = total[max(0, place(edge) - 12) : place(edge) + 12].mean()
            tolerance = 2 * step + step * 15 / max(1e-9, 2 * budget.error_budget * around)
            assert abs(at_ms - edge) <= tolerance, (budget.slo.id, incident, inside)
        paired += 1
        groups.remove(inside[0])
    assert not groups, (budget.slo.id, groups, budget.incidents)
    return paired


def test_the_figures_in_the_docs_are_those_of_the_code() -> None:
    text = " ".join((Path(__file__).parent.parent.parent / "docs" / "report.md").read_text(encoding="utf-8").split())
    assert f"a burn rate of {INCIDENT_BURN:g} or above that consumed {INCIDENT_SHARE:.0%}".replace("1%", "1 %") in text
    assert QUIET_MS == 2 * 60 * MINUTE and "as much traffic as two hours have on average" in text


@pytest.mark.parametrize(
    ("burn", "share", "there"), [(2.0, 0.05, True), (1.9, 0.05, False), (20.0, 0.01, True), (20.0, 0.009, False)]
)
def test_an_incident_burns_at_twice_the_pace_and_takes_a_hundredth_of_the_budget(
    burn: float, share: float, there: bool
) -> None:
    """Unless it is asked otherwise. A million events a step, so that chance has no part in it."""
    steps = 10_000
    total = np.full(steps, 1e6)
    long = round(share * steps / burn)
    errors = np.zeros(steps)
    errors[100 : 100 + long] = burn * 0.01 * 1e6
    incidents = find_incidents(errors, total, 0.01, errors.sum() / share, STEP)
    assert bool(incidents) is there
