"""What a check finds, and how it asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import orjson

from slo.promql.ast import Aggregate, Call, Matcher, MatrixSelector, Node, Number, VectorSelector
from slo.promql.parse import parse
from slo.redact import hide_userinfo
from slo.window import HOUR, MINUTE

if TYPE_CHECKING:
    from slo.source import Source
    from slo.spec.model import Slo

Severity = Literal["error", "warning"]
# How far back a series counts as there.
LOOKS_BACK_MS = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Finding:
    """One assumption of a definition that does not hold at a source: what, and what to do about it.

    An error makes figures or alerts wrong; a warning may be meant. `check` is stable, for programs.
    """

    check: str
    severity: Severity
    slo: str
    message: str
    file: str = ""
    line: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", hide_userinfo(self.message))

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file else ""
        return f"{place}{self.severity}: {self.slo + ': ' if self.slo else ''}{self.message} [{self.check}]"


@dataclass(frozen=True)
class Probed:
    """One SLO at a source, at a moment (milliseconds UTC); what several checks ask is asked once."""

    slo: Slo
    source: Source
    at_ms: int
    _answers: dict[str, list[tuple[Mapping[str, str], float]]] = field(default_factory=dict)

    def finding(self, check: str, severity: Severity, message: str) -> Finding:
        """A finding about this SLO."""
        return Finding(check, severity, self.slo.id, message, self.slo.file, self.slo.line)

    def ask(self, query: Node | str) -> list[tuple[Mapping[str, str], float]]:
        """Labels and value of each series of an expression now. Raises SourceError."""
        text = str(query)
        if text not in self._answers:
            node = parse(query) if isinstance(query, str) else query
            answer = self.source.query(node, self.at_ms)
            self._answers[text] = [(labels, float(values[-1])) for labels, values in answer.series]
        return self._answers[text]

    def number(self, query: Node | str) -> float | None:
        """The value of an expression of one series; None where it has none. Raises SourceError."""
        answer = self.ask(query)
        return answer[0][1] if answer else None

    @cached_property
    def total(self) -> VectorSelector:
        """The series of all events."""
        return self.slo.sli.selectors()[0]

    @cached_property
    def scrapes(self) -> tuple[float, float] | None:
        """(seconds between scrapes, seconds that are covered in the last day) of the series scraped for longest.

        None where there are not three samples of one, and for native histograms, which have none. Raises SourceError.
        """
        if self.slo.sli.measured_by == "native histogram":
            return None
        counted = Call("count_over_time", (MatrixSelector(self.total, 10 * MINUTE),))
        longest = self.ask(Aggregate("topk", counted, param=Number(1.0)))
        if not longest:
            return None
        chosen = (Matcher(label, "=", value) for label, value in longest[0][0].items() if label != "__name__")
        selector = VectorSelector(self.total.name, (*self.total.matchers, *chosen))
        series = self.source.samples([selector], self.at_ms - 10 * MINUTE, self.at_ms).series
        times = max((line.times for line in series), key=len, default=None)
        if times is None or len(times) < 3:
            return None
        steps = sorted((times[1:] - times[:-1]).tolist())
        interval = steps[len(steps) // 2] / 1000
        most = Aggregate("max", Call("count_over_time", (MatrixSelector(self.total, LOOKS_BACK_MS),)))
        return interval, (self.number(most) or 0.0) * interval


def page(source: Source, path: str) -> Any:
    """The `data` of a page of the server's API alongside its queries; None where the source has no such page."""
    ask = getattr(source, "page", None)
    body = None if ask is None else ask(path)
    if not body:
        return None
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document.get("data") if isinstance(document, dict) and document.get("status") == "success" else None
