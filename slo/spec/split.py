"""`by`: one SLO for each of the label values that a definition lists, each with a budget of its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from slo.promql.ast import Matcher
from slo.reading import Fault, Path, Report
from slo.spec.model import Slo

MOST = 100  # each is an SLO with rules of its own


def split(slo: Slo, by: Mapping[str, Sequence[str]], at: Path, report: Report) -> tuple[Slo, ...]:
    """The SLO for every combination of the listed values: named `name.value`, labelled, its selectors narrowed.

    Raises Fault once reported.
    """
    combinations = list(itertools.product(*by.values()))
    problem = None
    if not slo.sli.narrows:
        problem = "works with ratio, latency, probe and raw; write one SLO for each value instead"
    elif len(combinations) > MOST:
        problem = f"makes {len(combinations)} SLOs; up to {MOST} are accepted"
    else:
        taken = [label for label in by if label in slo.sli.fixed_labels]
        if taken:
            problem = f"a selector already fixes {taken[0]}"
        for label, values in by.items():
            if len(set(values)) < len(values):
                problem = f"names a value of {label} twice"
    if problem is not None:
        report(at, f"`by` {problem}", "error")
        raise Fault
    return narrowed(replace(slo, by=tuple(by)), combinations)


def grouped(slo: Slo, by: Sequence[str], at: Path, report: Report) -> Slo:
    """The SLO with a budget for each value that labels come to have. Raises Fault once reported."""
    problem = None
    if not slo.sli.takes_by:
        problem = "works with ratio, latency and probe" + (
            f"; list the values, such as `{by[0]}: [a, b]`" if slo.sli.narrows else ""
        )
    elif taken := [label for label in by if label in slo.sli.fixed_labels]:
        problem = f"a selector already fixes {taken[0]}"
    elif len(set(by)) < len(by):
        problem = "names a label twice"
    if problem is not None:
        report(at, f"`by` {problem}", "error")
        raise Fault
    return replace(slo, by=tuple(by))


def narrowed(slo: Slo, combinations: Sequence[Sequence[str]]) -> tuple[Slo, ...]:
    """An SLO with `by` as one SLO for each of these values of its labels."""
    return tuple(
        replace(
            slo,
            name=name,
            labels={**slo.labels, **dict(zip(slo.by, values, strict=True))},
            sli=slo.sli.narrowed(tuple(Matcher(label, "=", v) for label, v in zip(slo.by, values, strict=True))),
            by=(),
        )
        for name, values in zip(_names(slo.name, combinations), combinations, strict=True)
    )


def any_value(slo: Slo) -> Slo:
    """An SLO with `by`, its selectors narrowed to series that have these labels."""
    return replace(slo, sli=slo.sli.narrowed(tuple(Matcher(label, "=~", ".+") for label in slo.by)))


def _names(name: str, combinations: Sequence[Sequence[str]]) -> Iterator[str]:
    """`name.value`, with what no name may hold as `-`; numbered where two values would read the same."""
    used: set[str] = set()
    for values in combinations:
        tail = "-".join(re.sub(r"[^A-Za-z0-9_]+", "-", value).strip("-_") or "root" for value in values)
        result = next(
            candidate
            for candidate in itertools.chain([tail], (f"{tail}-{n}" for n in itertools.count(2)))
            if candidate not in used
        )
        used.add(result)
        yield f"{name}.{result}"
