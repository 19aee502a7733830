"""What keeps a simulation honest: each SLO has data for all that it selects, or is refused by its name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from slo.errors import SloError
from slo.promql.ast import VectorSelector
from slo.promql.samples import is_stale, matches
from slo.source.simulation.context import cannot
from slo.source.simulation.counters import Row
from slo.source.simulation.labels import NoValueError
from slo.source.simulation.plan import Span
from slo.spec.model import Slo
from slo.suggest import suggest


def conflict(metric: str, slos: Sequence[Slo]) -> SloError:
    """The refusal of a metric that SLOs need in ways that exclude each other."""
    users = [slo for slo in slos if any(selector.name == metric for selector in slo.sli.selectors())]
    if not users:
        return SloError(f"cannot simulate {metric}: it is made twice; simulate fewer definitions at a time")
    others = ", ".join(slo.id for slo in users[1:4]) + (f" and {len(users) - 4} more" if len(users) > 4 else "")
    also_selected = f", which {others} select{'s' if len(users) == 2 else ''} too" if others else ""
    return cannot(
        users[0],
        f"its series of {metric}{also_selected}, would be made twice in ways that differ; simulate them in files of their own",
    )


def by_name(rows: Iterable[Row], slos: Sequence[Slo]) -> Iterator[Row]:
    """The rows; what no label value fits is raised with the SLO that asks for it."""
    try:
        yield from rows
    except NoValueError as error:
        users = [slo for slo in slos if any(s.matchers == error.selector.matchers for s in slo.sli.selectors())]
        raise cannot(users[0], str(error)) if users else error from None


def every_selector_has_data(slos: Iterable[Slo], rows: Mapping[tuple[tuple[str, str], ...], Row]) -> None:
    """Raises SloError for the first SLO with a selector that no series with a value satisfies."""
    by_label: dict[tuple[str, str], list[Row]] = {}
    for row in rows.values():
        if not is_stale(row[2]).all():  # nor is it empty
            for item in row[0].items():
                by_label.setdefault(item, []).append(row)
    for slo in slos:
        for selector in slo.sli.selectors():
            candidates = by_label.get(("__name__", selector.name or ""), [])
            known = len(candidates)
            for matcher in selector.matchers:
                if matcher.op == "=" and matcher.value:
                    named = by_label.get((matcher.label, matcher.value), [])
                    candidates = named if len(named) < len(candidates) else candidates
            if not any(accepts(selector, row[0]) for row in candidates):
                why = f"none of the {known} series of {selector.name} that were made for all SLOs satisfies"
                raise cannot(slo, f"{why} {selector}; use plainer matchers, or simulate it in a file of its own")


def accepts(selector: VectorSelector, labels: Mapping[str, str]) -> bool:
    """Whether a series with these labels, `__name__` among them, is selected."""
    return labels["__name__"] == selector.name and all(matches(matcher, labels) for matcher in selector.matchers)


def instances(written: Mapping[str, Sequence[Span]], known: Collection[str]) -> None:
    """Raises SloError where an incident is of an instance that there is not."""
    for slo, spans in written.items():
        for span in spans:
            if span.instance is not None and span.instance not in known:
                raise SloError(
                    f"an incident of {slo} names instance {span.instance!r}, which is not simulated"
                    f"{suggest(span.instance, sorted(known))}"
                )


def labels(written: Mapping[str, Sequence[Span]], known: Collection[Span]) -> None:
    """Raises SloError where an incident is of labels that no bad event of its SLO has."""
    for slo, spans in written.items():
        for span in spans:
            if span.labels and span not in known:
                named = ", ".join(f"{name}={value!r}" for name, value in span.labels)
                raise SloError(
                    f"an incident of {slo} is of {named}, which none of its bad events has; use labels that the scenario's `labels` "
                    "or the selectors give to a ratio of one metric"
                )


def given(
    asked: Mapping[str, Mapping[str, Sequence[str]]], taken: Collection[tuple[str, str]], jobs: Collection[str]
) -> None:
    """Raises SloError where a scenario gives a label that no counter of events takes."""
    for job, labels in asked.items():
        for name in labels:
            if (job, name) not in taken:
                why = (
                    "its counters of events have that label by their selectors, or it has none"
                    if job in jobs
                    else f"no such job is simulated{suggest(job, sorted(jobs))}"
                )
                raise SloError(f"the scenario gives the label {name!r} to the job {job!r}: {why}")
