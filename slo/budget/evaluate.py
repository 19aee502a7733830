"""From counts to an error budget: what is consumed, what remains, how fast it burns, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from slo.budget.forecast import Forecast, forecast, pace_length
from slo.budget.groups import expand
from slo.budget.incidents import Downtime, Incident, find_incidents
from slo.budget.measure import measure
from slo.budget.model import Budget, Burn, State
from slo.budget.notes import data_begins, fresh_note, gap_note, gaps_within, retention_note, whole_total
from slo.budget.possible import CAUSES, impossible, impossible_steps, possible, show_number
from slo.budget.quantile import PERCENTILES, histogram_quantile
from slo.budget.recorded import Recorded
from slo.sli.base import Measured, Note
from slo.sli.counts import Counts, Floats, Gap, Grid, coverage
from slo.sli.notes import counting_notes
from slo.source.base import retention_ms, source_of
from slo.spans import stretches
from slo.spec.model import Slo
from slo.window import (
    DAY,
    MINUTE,
    BurnWindow,
    Calendar,
    burn_windows,
    dead_windows,
    format_duration,
    moment,
    moment_ms,
    tile_length,
)

if TYPE_CHECKING:
    from slo.source import Source

# Shown for every SLO, whatever its alerts watch.
SHOWN_BURN_WINDOWS_MS = (60 * MINUTE, 6 * 60 * MINUTE, 3 * DAY)

# Of so many SLOs at once a server is asked whether their tiles are whole.
_TOGETHER = 16
# A scrape that comes before that of its total makes a step or two impossible; of more than this share the sums are wrong too.
_MANY_STEPS = 0.1


def step_of(slo: Slo) -> int:
    """The length of the steps in which an SLO's events are counted, milliseconds: 5 m, or 1 m for short windows."""
    length = slo.window.nominal_ms
    if length >= 2 * DAY and length % (5 * MINUTE) == 0:
        return 5 * MINUTE
    # Slices divide 5 m; a step must hold whole ones.
    return 5 * MINUTE if slo.sli.slice_ms and MINUTE % slo.sli.slice_ms else MINUTE


# Bad and all events per step of a grid as they were counted before, by an SLO's id; NaN where nothing is known.
CountHistory = Callable[[str, Grid], tuple[Floats, Floats]]


def evaluate(slo: Slo, source: Source, end: datetime | int, known: CountHistory | None = None) -> Budget:
    """The error budget of one SLO at `end` (a datetime with a time zone, or milliseconds UTC).

    A rolling window ends there; of a calendar window it is the part up to there that counts. With `by` it is the budget
    of all values together. `known` has the counts of steps of which the source has nothing any more. Raises SourceError.
    """
    source = source_of(source, slo)
    end_ms = moment_ms(end)
    step = step_of(slo)
    tiles = source.aligned(slo, end_ms, step) if isinstance(source, Recorded) else None
    if tiles is not None:
        end_ms, step = tiles
    start_ms, window_end_ms = slo.window.period(end_ms)
    if isinstance(slo.window, Calendar) and tiles is None:
        # Steps must meet the window's start, so its end gives way: by less than a step.
        end_ms = max(start_ms + step, end_ms - (end_ms - start_ms) % step)
    windows = _burn_windows(slo)
    history = max(*SHOWN_BURN_WINDOWS_MS, *(burn.long_ms for burn in windows))
    steps = -(-(end_ms - start_ms + history) // step)
    grid = Grid(end_ms, step, steps)
    measured = measure(slo, source, grid, (start_ms - grid.start_ms) // step)
    if known is not None:
        measured = with_known(measured, *known(slo.id, grid))
    # A ledger that has all of the window's steps makes up for what the server dropped.
    if not any(note.code == "ledger" for note in measured.notes) or data_begins(measured.counts.seen.gaps, grid):
        notes = retention_note(slo, start_ms, window_end_ms, retention_ms(source))
        measured = replace(measured, notes=(*measured.notes, *notes))
    return budget_of(slo, source.name, measured, start_ms, window_end_ms, windows)


def with_known(measured: Measured, errors: Floats, total: Floats) -> Measured:
    """Steps of which the source has nothing, as they were counted before."""
    counts, grid = measured.counts, measured.counts.grid
    filled = (counts.total == 0) & ~np.isnan(total)
    if not filled.any():
        return measured
    gaps = []
    for gap in counts.seen.gaps:
        inside = (grid.ends > gap.start_ms) & (grid.ends - grid.step_ms < gap.end_ms)
        for low, high in stretches(inside & ~filled):
            begin, end = grid.start_ms + low * grid.step_ms, grid.start_ms + high * grid.step_ms
            gaps.append(Gap(max(begin, gap.start_ms), min(end, gap.end_ms)))
    seen = replace(counts.seen, gaps=tuple(gaps))
    merged = Counts(
        grid, np.where(filled, errors, counts.errors), np.where(filled, total, counts.total), seen, counts.parts
    )
    length = format_duration(int(filled.sum()) * grid.step_ms)
    note = Note("ledger", f"{length} that the source no longer has are from the ledger")
    return replace(measured, counts=merged, notes=(*measured.notes, note), has_data=True)


def evaluate_all(
    slos: Iterable[Slo],
    source: Source,
    end: datetime | int,
    done: Callable[[], None] = lambda: None,
    known: CountHistory | None = None,
    steps: bool = True,
) -> list[Budget]:
    """The error budgets of many SLOs, all at the same moment, in their order; `done` is called after each.

    An SLO with `by` gives one for each value of its labels. Without `steps` a server may be asked for sums of what it has
    recorded, many SLOs at once: such budgets have the figures of a table (`Budget.sums`), no steps and no incidents.

    One after the other: threads that import and decode at the same time have locked each other out. Raises SourceError.
    """
    return [budget for own in evaluate_each(slos, source, end, done, known, steps) for budget in own]


def evaluate_each(
    slos: Iterable[Slo],
    source: Source,
    end: datetime | int,
    done: Callable[[], None] = lambda: None,
    known: CountHistory | None = None,
    steps: bool = True,
) -> list[list[Budget]]:
    """What `evaluate_all` gives, by SLO. Raises SourceError."""
    budgets: list[list[Budget]] = []
    end_ms = moment_ms(end)
    slos = list(slos)
    if isinstance(source, Recorded):
        source.prepare(slos, end_ms)
    summed = {} if steps or known is not None else summaries(slos, source, end_ms)
    rest = [slo for slo in slos if slo.id not in summed]
    for slo in slos:
        if slo.id in summed:
            budgets.append([summed[slo.id]])
            done()
            continue
        if rest and slo is rest[0] and isinstance(source, Recorded):
            source.together(rest[:_TOGETHER], end_ms)
            del rest[:_TOGETHER]
        parts, values = expand(slo, source, end_ms)
        chosen = source_of(source, slo)
        if isinstance(chosen, Recorded):
            chosen.split(slo, parts)
        own = [evaluate(part, source, end_ms, known) for part in parts]
        if values > len(own):
            text = (
                f"{values} values of {' and '.join(slo.by)}, of which {len(own)} have an error budget each, this one among them: "
                "those that were there first, then those with the most traffic; the others are not measured"
            )
            own[0] = replace(own[0], notes=(*own[0].notes, Note("many-values", text)))
        budgets.append(own)
        done()
    return budgets


def summaries(slos: Iterable[Slo], source: Source, end_ms: int) -> dict[str, Budget]:
    """By id, the budgets of those SLOs whose recorded series are whole: of sums that their servers made. Raises SourceError."""
    slos = list(slos)
    if isinstance(source, Recorded):
        source.prepare(slos, end_ms)
    by_source: dict[int, tuple[Recorded, dict[str, tuple[Slo, int, dict[int, int]]]]] = {}
    for slo in slos:
        own = source_of(source, slo) if isinstance(source, Recorded) else source
        if not isinstance(own, Recorded) or isinstance(slo.window, Calendar) or slo.unusable:
            continue
        lengths = {*SHOWN_BURN_WINDOWS_MS, slo.window.nominal_ms, pace_length(slo.window.nominal_ms, step_of(slo))}
        lengths |= {length for burn in _burn_windows(slo) for length in (burn.long_ms, burn.short_ms)}
        step = max(step_of(slo), tile_length(slo.scrape_interval_ms))
        if slo.window.nominal_ms % step == 0:
            # In whole steps, as everywhere.
            whole = {length: max(1, round(length / step)) * step for length in lengths}
            by_source.setdefault(id(own), (own, {}))[1][slo.id] = slo, step, whole
    budgets: dict[str, Budget] = {}
    for own, wanted in by_source.values():
        asked = {key: (slo, step, set(whole.values())) for key, (slo, step, whole) in wanted.items()}
        for key, (track, sums) in own.sums(asked, end_ms).items():
            slo, _, whole = wanted[key]
            own_sums = {length: sums[steps] for length, steps in whole.items()}
            budget = _summary(slo, own, track.edge_ms, track.length_ms, own_sums)
            if budget is not None:
                budgets[key] = budget
    return budgets


def _burn_windows(slo: Slo) -> tuple[BurnWindow, ...]:
    return slo.alerting.windows or burn_windows(slo.window, slo.objective.error_budget, slo.scrape_interval_ms)


def _summary(
    slo: Slo, source: Source, end_ms: int, step_ms: int, sums: Mapping[int, tuple[float, float]]
) -> Budget | None:
    """The budget of sums; None where steps must tell what cannot be true."""
    period = slo.window.nominal_ms
    if any(not possible(*own) for own in sums.values()):
        return None
    nothing = np.broadcast_to(np.nan, period // step_ms)  # of a thousand SLOs it takes no memory
    note = Note(
        "recorded", f"counted from recorded series, up to {moment(end_ms):%H:%M:%S} UTC, the end of the last tile"
    )
    counts = Counts(Grid(end_ms, step_ms, len(nothing)), nothing, nothing)
    errors, total = sums[period]
    budget = Budget(
        slo=slo,
        start=moment(end_ms - period),
        end=moment(end_ms),
        window_end=moment(end_ms),
        errors=min(total, max(0.0, errors)),  # what adding up floats leaves over
        total=total,
        coverage=1.0,
        counts=counts,
        source=source.name,
        sums=sums,
    )
    burns = (
        Burn(window, budget.burn_rate(window.long_ms), budget.burn_rate(window.short_ms))
        for window in _burn_windows(slo)
    )
    budget = replace(budget, burns=tuple(burns))
    if budget.remaining is not None and budget.remaining > 0:
        pace_ms = pace_length(period, step_of(slo))
        pace = forecast(
            np.array([sums[pace_ms][0]]),
            np.array([sums[pace_ms][1]]),
            error_budget=budget.error_budget,
            remaining=budget.remaining,
            period_ms=period,
            pace_ms=pace_ms,
            end=budget.end,
            until=None,
        )
        budget = replace(budget, forecast=pace)
    kept = retention_note(slo, budget.start_ms, end_ms, retention_ms(source))
    return replace(budget, notes=(note, *kept, *_notes(budget, Measured(counts), budget.start_ms)))


def budget_of(
    slo: Slo, source: str, measured: Measured, start_ms: int, window_end_ms: int, windows: tuple[BurnWindow, ...]
) -> Budget:
    """The budget of a window that begins at `start_ms` and is counted up to the end of the measured steps.

    Figures that cannot be believed are withheld here, whoever counted them: see `State.INVALID`.
    """
    counts, grid = measured.counts, measured.counts.grid
    first = (start_ms - grid.start_ms) // grid.step_ms
    errors, total = float(np.sum(counts.errors[first:])), float(np.sum(counts.total[first:]))
    notes = list(measured.notes)
    invalid = why_invalid(measured, first)
    if not invalid:
        errors = min(total, max(0.0, errors))  # what adding up floats leaves over
    begun = data_begins(counts.seen.gaps, grid) if measured.has_data else None
    gaps = gaps_within(counts.seen.gaps, grid, start_ms)
    covered = 0.0
    if measured.has_data:
        since = start_ms if begun is None else max(start_ms, begun)
        known = (grid.end_ms - since) / (grid.end_ms - start_ms)
        covered = known * coverage(replace(counts.seen, gaps=gaps), since, grid.end_ms)
    quantiles = quantiles_of(measured.bounds, measured.bucket_counts[first:])
    budget = Budget(
        slo=slo,
        start=moment(start_ms),
        end=moment(grid.end_ms),
        window_end=moment(window_end_ms),
        errors=errors,
        total=total,
        coverage=covered,
        counts=counts,
        gaps=gaps,
        quantiles=quantiles,
        bounds=measured.bounds,
        bucket_counts=measured.bucket_counts,
        source=source,
        has_data=measured.has_data,
        data_start=moment(begun) if begun is not None and begun > start_ms else None,
        downtimes=tuple(Downtime(moment(low), moment(high)) for low, high in measured.downtimes if high > start_ms),
    )
    invalid = measured.invalid or invalid
    if not invalid:
        burns = (
            Burn(window, budget.burn_rate(window.long_ms), budget.burn_rate(window.short_ms)) for window in windows
        )
        whole = replace(budget, burns=tuple(burns), incidents=_incidents(budget), forecast=_forecast(budget))
        single = _step_notes(budget)
        invalid = _hidden(whole) or tuple(note for note in single if note.code == "impossible")
        if not invalid:
            more = _notes(whole, measured, start_ms)
            return replace(whole, notes=(*notes, *more, *single))
    budget = withheld(replace(budget, burns=tuple(Burn(window, None, None) for window in windows)), invalid)
    return replace(budget, notes=(*invalid, *notes, *_notes(budget, measured, start_ms)))


def quantiles_of(bounds: Floats, bucket_counts: Floats) -> dict[str, float | None]:
    """p50 to p99 in seconds of buckets' counts, shape (steps, bounds), all steps together; nothing without buckets."""
    if not bucket_counts.size:
        return {}
    seconds = {
        name: histogram_quantile(q, bounds, bucket_counts.sum(axis=0, keepdims=True)).item()
        for name, q in PERCENTILES.items()
    }
    return {name: None if np.isnan(value) else value for name, value in seconds.items()}


def why_invalid(measured: Measured, first: int = 0) -> tuple[Note, ...]:
    """Why what was counted from step `first` on cannot be believed; nothing where it can, or is not known."""
    errors, total = float(np.sum(measured.counts.errors[first:])), float(np.sum(measured.counts.total[first:]))
    text = impossible(errors, total, "in the window")
    return measured.invalid or (() if text is None else (Note("impossible", text),))


def withheld(budget: Budget, invalid: tuple[Note, ...]) -> Budget:
    """The budget, not whole yet, without any figure that was counted, and why."""
    counts, nothing = budget.counts, np.full(budget.counts.grid.steps, np.nan)
    return replace(
        budget,
        errors=np.nan,
        total=np.nan,
        counts=Counts(counts.grid, nothing, nothing, counts.seen),
        bucket_counts=np.empty((0, 0)),
        quantiles=dict.fromkeys(budget.quantiles),
        downtimes=(),
        invalid=invalid,
    )


def _hidden(budget: Budget) -> tuple[Note, ...]:
    """Why a budget that seems to last might be burning: an alert of which one window is impossible, and the other one is
    impossible too or above the threshold."""
    if budget.state not in (State.HEALTHY, State.AT_RISK):
        return ()
    counts = budget.counts
    for burn in budget.burns:
        wrong = []
        for length, rate in ((burn.window.long_ms, burn.long), (burn.window.short_ms, burn.short)):
            steps = budget.steps_in(length)
            errors, total = float(np.sum(counts.errors[-steps:])), float(np.sum(counts.total[-steps:]))
            text = impossible(errors, total, f"in the last {format_duration(length)}")
            if text is not None:
                wrong.append(text)
            elif rate is None or rate <= float(burn.window.factor):
                break  # this window keeps the alert quiet, whatever the other one is
        else:
            if wrong:
                return (Note("impossible", wrong[0]),)
    return ()


def _step_notes(budget: Budget) -> list[Note]:
    """Single steps that cannot be true, in a window that can; with the code `impossible` where they are too many."""
    part, grid = budget.steps, budget.counts.grid
    errors, total = budget.counts.errors[part], budget.counts.total[part]
    steps = impossible_steps(errors, total)
    if not len(steps):
        return []
    worst = int(steps[np.argmax(np.maximum(-errors[steps], errors[steps] - total[steps]))])
    at = moment(int(grid.ends[part][worst]))
    text = (
        f"in {len(steps):,} of {len(errors):,} steps of {format_duration(grid.step_ms)} errors are below 0 or above the total, "
        f"at worst {show_number(float(errors[worst]))} of {show_number(float(total[worst]))} up to {at.day} {at:%b %H:%M}"
    )
    if len(steps) > max(2, _MANY_STEPS * int(np.count_nonzero((total != 0) | (errors != 0)))):
        return [Note("impossible", f"{text}: their sums cannot be believed; {CAUSES}")]
    return [
        Note(
            "impossible-steps",
            f"{text}; they are counted as they are, and burn rates over such stretches are not known",
        )
    ]


def _forecast(budget: Budget) -> Forecast | None:
    """From the last steps of the counts; None where the budget is exhausted, or nothing known."""
    grid, period = budget.counts.grid, budget.slo.window.nominal_ms
    pace_ms = pace_length(period, grid.step_ms)
    steps = budget.steps_in(pace_ms)
    if budget.data_start is not None:  # what was before is unknown, and no traffic to take a pace from
        age = (budget.end_ms - moment_ms(budget.data_start)) / grid.step_ms
        steps = min(steps, max(1, round(age)))
        pace_ms = min(pace_ms, steps * grid.step_ms)
    if budget.remaining is None or budget.remaining <= 0 or steps > grid.steps:
        return None
    return forecast(
        budget.counts.errors[-steps:],
        budget.counts.total[-steps:],
        error_budget=budget.error_budget,
        remaining=budget.remaining,
        period_ms=period,
        pace_ms=pace_ms,
        end=budget.end,
        until=budget.window_end if isinstance(budget.slo.window, Calendar) else None,
    )


def _incidents(budget: Budget) -> tuple[Incident, ...]:
    part, step = budget.steps, budget.counts.grid.step_ms
    incidents = find_incidents(
        budget.counts.errors[part], budget.counts.total[part], budget.error_budget, budget.allowed_errors, step
    )
    return tuple(
        Incident(
            start=moment(budget.start_ms + stretch.low * step),
            end=moment(budget.start_ms + stretch.high * step),
            errors=stretch.errors,
            total=stretch.total,
            budget_share=stretch.share,
        )
        for stretch in incidents
    )


def _notes(budget: Budget, measured: Measured, start_ms: int) -> list[Note]:
    slo = budget.slo
    notes: list[Note] = []
    if not measured.has_data and not budget.invalid:
        if any(note.code == "no-such-bound" for note in measured.notes):
            return []
        return [Note("no-data", "no data: the source has no series of this SLI in the window")]
    notes += fresh_note(budget)
    if budget.total == 0 and not budget.invalid:
        notes.append(Note("no-traffic", "no traffic: the series are there, but counted nothing in the window"))
    if measured.has_data:
        notes += gap_note(budget, start_ms)
    notes += counting_notes(measured.counts.seen)
    # Of data that has just begun few events say nothing about the traffic of a whole window.
    if budget.total > 0 and whole_total(budget) * budget.error_budget < 1:
        notes.append(
            Note("low-traffic", f"low traffic: with {budget.total:,.0f} events a single error exceeds the budget")
        )
    dead = dead_windows(tuple(burn.window for burn in budget.burns), slo.objective.error_budget)
    for window in dead:
        notes.append(
            Note("dead-alert", f"the alert over {format_duration(window.long_ms)} can never fire at {slo.objective}")
        )
    return notes
