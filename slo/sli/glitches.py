"""Samples of a counter that were never its value, and falls that were not restarts.

- A glitch: for up to three scrapes a counter shows something else, mostly 0 or what it showed before, and then goes on
  from where it was; or it shows far more, and goes back. Read as a restart, it would count the whole life of the counter.
- A sum over several processes falls by what the one had that ended. What is left is not a count from 0.

Both are told from a restart by what the series gained nearby: in the 30 intervals before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slo.sli.counts import FEW_EVENTS, Floats, Ints, usual_interval

Bools = NDArray[np.bool_]

_LENGTHS = (1, 2, 3)  # samples of a glitch
_NEARBY = 30
# A jump back is higher than anything nearby, and what a restarted process shows is not more than a few times that.
_JUMP = 2.0
_RESTARTED = 4.0
# A value that is gone again is garbage only far above all that happens nearby; else it is the work of a burst.
_SPIKE = 100.0
# What a series shows of its value before, at most, where its process restarted.
_GONE = 0.1
# A pause in which the process may have restarted, in usual intervals.
_PAUSE = 1.75
# Of more falls that leave much of the value than these the series is a sum that goes down again and again.
_OFTEN = 3
# Above this share of the samples something else is wrong than a few of them.
_MOST = 0.1
# So many are looked at at once, which bounds memory.
_AT_ONCE = 10_000


def falls_of(values: Floats) -> Ints:
    """The places of values below the one before."""
    return np.flatnonzero(values[1:] < values[:-1]) + 1


@dataclass(frozen=True, slots=True)
class _Glitches:
    """By fall: samples [low, high) are not the counter's where `shaped`; `evident` where that cannot be a restart."""

    low: Ints
    high: Ints
    shaped: Bools
    evident: Bools


def without_glitches(
    lines: Sequence[tuple[Ints, Floats, Ints]], restarts: Ints | None = None
) -> tuple[list[Bools | None], Ints]:
    """(of each series of a target which samples to keep, None for all; the times of falls that are restarts), from the
    times, values and falls of the series.

    A process restarts with all its series: where one of them fell and did not come back, none had a glitch. `restarts`
    are such times that are known of other series of the target.
    """
    finds = [_find(times, values, falls) for times, values, falls in lines]
    at = [times[falls] for times, _, falls in lines]
    if not any(entry.evident.any() for entry in finds):
        return [None] * len(lines), np.unique(np.concatenate(at))
    fallen = [when[~entry.shaped] for when, entry in zip(at, finds, strict=True)]
    real = np.unique(np.concatenate([*fallen, *([] if restarts is None else [restarts])]))
    evident = np.setdiff1d(_mostly_evident(lines, at, finds), real)
    if not len(evident):
        return [None] * len(lines), np.unique(np.concatenate(at))
    kept: list[Bools | None] = []
    for (times, _, _), when, item in zip(lines, at, finds, strict=True):
        chosen = np.flatnonzero(item.shaped & np.isin(when, evident))
        if not len(chosen) or len(chosen) > max(1.0, _MOST * len(times)):
            kept.append(None)
            continue
        edges = np.zeros(len(times) + 1, np.int64)
        np.add.at(edges, item.low[chosen], 1)
        np.add.at(edges, item.high[chosen], -1)
        kept.append(np.cumsum(edges[:-1]) == 0)
    return kept, np.setdiff1d(np.unique(np.concatenate(at)), evident)


def _mostly_evident(
    lines: Sequence[tuple[Ints, Floats, Ints]], at: Sequence[Ints], result: Sequence[_Glitches]
) -> Ints:
    """The times of falls that cannot be restarts by most of what fell: errors alone may burst as a process crashes."""
    fell = [values[falls - 1] - values[falls] for _, values, falls in lines]
    return _mostly(at, [item.evident for item in result], fell)


def _mostly(at: Sequence[Ints], chosen: Sequence[Bools], amounts: Sequence[Floats]) -> Ints:
    """The times at which what was chosen has more than half of the amounts."""
    times, those = np.concatenate(at), np.concatenate(chosen)
    if not those.any():
        return times[:0]
    amount = np.concatenate(amounts)
    moments, place = np.unique(times, return_inverse=True)
    return moments[np.bincount(place, amount * those) > 0.5 * np.bincount(place, amount)]


def falls_of_sums(lines: Sequence[tuple[Ints, Floats, Ints]]) -> Ints:
    """The times of falls of a target that cannot be restarts; of (times, values, falls) of its series."""
    at = [times[falls] for times, _, falls in lines]
    before = [values[falls - 1] for _, values, falls in lines]
    high = _mostly(at, [_no_restarts(times, values, falls) for times, values, falls in lines], before)
    if not len(high):
        return high
    # All series of a sum lose a share; one that is nearly gone was restarted, and the others with it.
    gone = [
        when[(values[falls] <= _GONE * was) & (was > FEW_EVENTS)]
        for when, was, (_, values, falls) in zip(at, before, lines, strict=True)
    ]
    return np.setdiff1d(high, np.concatenate(gone))


def _no_restarts(times: Ints, values: Floats, falls: Ints) -> Bools:
    """Of each fall whether what is left is too much for a process that has just begun."""
    most = _most_nearby(times, values, falls, falls)
    high = values[falls] > _RESTARTED * most * (times[falls] - times[falls - 1]) + FEW_EVENTS
    if np.count_nonzero(high) >= max(_OFTEN, len(falls) / 2):
        return high
    return high & (values[falls] > values[falls - 1] / 2)


def _find(times: Ints, values: Floats, falls: Ints) -> _Glitches:
    low, high = falls.copy(), falls.copy()
    shaped = np.zeros(len(falls), bool)
    size = len(values)
    before, after = values[falls - 1], values[falls]
    later = values[np.minimum(np.add.outer(_LENGTHS, falls), size - 1)]
    earlier = values[np.maximum(np.subtract.outer(falls - 1, _LENGTHS), 0)].T
    # What neither comes back nor was there before is not a glitch, as most falls are none.
    if not ((later >= before) | (earlier <= after)).any():
        return _Glitches(low, high, shaped, shaped)
    usual = usual_interval(times)
    jump = np.zeros(len(falls))
    upward = np.zeros(len(falls), bool)
    for length in _LENGTHS:
        back = np.minimum(falls + length, size - 1)
        rise = values[back] - values[back - 1]
        fits = (falls + length < size) & (values[back] >= before) & (rise >= before - after) & ~shaped
        fits &= times[back] - times[falls - 1] <= _PAUSE * usual * (length + 1)
        low[fits], high[fits], jump[fits] = falls[fits], back[fits], rise[fits]
        shaped |= fits
    for length in _LENGTHS:
        first = np.maximum(falls - length, 1)
        rise = values[first] - values[first - 1]
        fits = (falls - length >= 1) & (values[first - 1] <= after) & (rise >= before - after) & ~shaped
        fits &= times[falls] - times[first - 1] <= _PAUSE * usual * (length + 1)
        low[fits], high[fits], jump[fits] = first[fits], falls[fits], rise[fits]
        shaped |= fits
        upward |= fits
    evident = shaped & (jump > FEW_EVENTS)
    chosen = np.flatnonzero(evident)
    if len(chosen):
        ends = high[chosen]
        # A glitch nearby is not a measure of what is usual.
        within = np.zeros(size, np.int64)
        np.add.at(within, low[chosen] - 1, 1)
        np.add.at(within, ends, -1)
        most = _most_nearby(times, values, low[chosen], ends, np.cumsum(within) > 0)
        elapsed = times[ends] - times[low[chosen] - 1]
        factor = np.where(upward[chosen], _SPIKE, _JUMP)
        higher = jump[chosen] > factor * (most * elapsed + FEW_EVENTS)
        too_high = after[chosen] > _RESTARTED * most * (times[falls[chosen]] - times[falls[chosen] - 1]) + FEW_EVENTS
        # Where nothing happened nearby, a jump may be the work of a whole run.
        goes_on = values[ends] - values[low[chosen] - 1] <= _JUMP * most * elapsed + FEW_EVENTS
        evident[chosen] = goes_on & np.where(upward[chosen], higher & too_high, (higher & (most > 0)) | too_high)
    return _Glitches(low, high, shaped, evident)


def _most_nearby(times: Ints, values: Floats, low: Ints, high: Ints, others: Bools | None = None) -> Floats:
    """The most that a series gained per millisecond in an interval near samples [low, high), which are left out, as are
    the intervals of `others`."""
    result = [np.empty(0)]
    for part in range(0, len(low), _AT_ONCE):
        chosen = slice(part, part + _AT_ONCE)
        # Interval i lies between samples i and i + 1.
        first = np.concatenate([low[chosen] - 1 - _NEARBY, high[chosen]])
        intervals = first[:, None] + np.arange(_NEARBY)
        there = (intervals >= 0) & (intervals < len(times) - 1)
        at = intervals * there
        if others is not None:
            there &= ~others[at]
        gained = (values[at + 1] - values[at]) / (times[at + 1] - times[at])
        result.append(np.where(there, gained, 0.0).max(axis=1, initial=0.0).reshape(2, -1).max(axis=0))
    return np.concatenate(result)
