"""The clock of a time zone in PromQL, which knows UTC only."""

from __future__ import annotations

from slo.promql.ast import Binary, Call, Node, Number
from slo.spec.zone import Change, zone

_LAST_WEEK = 5


def local_time(name: str, seconds_ago: float) -> Node:
    """One sample: the seconds since 1970 that a clock of the zone showed then, as if it were a clock of UTC."""
    rule = zone(name)
    assert rule is not None, name  # the definition was checked
    clock = _moment(rule.standard - seconds_ago)
    if rule.begins is None or rule.ends is None:
        return clock
    begun = _passed(rule.begins, rule.standard - rule.begins.after_midnight - seconds_ago)
    ended = _passed(rule.ends, rule.daylight - rule.ends.after_midnight - seconds_ago)
    if rule.begins.month < rule.ends.month:
        saved: Node = Binary("*", begun, Binary("-", Number(1.0), ended))
    else:  # the summer of the south goes over the end of the year
        saved = Binary("-", Number(1.0), Binary("*", ended, Binary("-", Number(1.0), begun)))
    return Binary("+", clock, Binary("*", Number(float(rule.daylight - rule.standard)), saved))


def _moment(shift: float) -> Node:
    """`vector(time() + shift)`, seconds."""
    time: Node = Call("time")
    if shift:
        time = Binary("+" if shift > 0 else "-", time, Number(abs(float(shift))))
    return Call("vector", (time,))


def _passed(change: Change, shift: float) -> Node:
    """1 from a change on until the end of the year, else 0. By the shifted clock it is at midnight."""
    moment = _moment(shift)
    month = Call("month", (moment,))
    # The day of the month of the last such weekday.
    ago = Binary("%", Binary("+", Call("day_of_week", (moment,)), Number(7.0 - change.weekday)), Number(7.0))
    day = Binary("-", Call("day_of_month", (moment,)), ago)
    if change.week == _LAST_WEEK:
        here: Node = Binary(">", day, Binary("-", Call("days_in_month", (moment,)), Number(7.0)), return_bool=True)
    else:
        here = Binary(">=", day, Number(7.0 * (change.week - 1) + 1), return_bool=True)
    later = Binary(">", month, Number(float(change.month)), return_bool=True)
    return Binary("+", later, Binary("*", Binary("==", month, Number(float(change.month)), return_bool=True), here))
