"""`by`: one SLO for each of the label values that a definition lists, each with a budget of its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from slo.promql.ast import Matcher, is_plain_label
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
    """The SLO with a budget for each value that labels come to have. Raises Fault once reported.

    A label that every selector fixes has one value: it leaves `by`, and is a label of the SLO.
    """
    slo, by = _without_fixed(slo, by, at, report)
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


def _without_fixed(slo: Slo, by: Sequence[str], at: Path, report: Report) -> tuple[Slo, list[str]]:
    kept, labels = [], dict(slo.labels)
    for label in by:
        values = [
            {m.value for m in selector.matchers if m.label == label and m.op == "="} for selector in slo.sli.selectors()
        ]
        if not values or len(values[0]) != 1 or any(other != values[0] for other in values):
            kept.append(label)
            continue
        [value] = values[0]
        report(
            at,
            f"`{label}` has one value, as each selector says {label}={value!r}; it is a label of the SLO instead",
            "warning",
        )
        if is_plain_label(label):
            labels.setdefault(label, value)
    return (replace(slo, labels=labels), kept) if len(kept) < len(by) else (slo, kept)


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
