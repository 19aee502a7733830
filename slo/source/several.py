"""Several sources in one run: each SLO is asked of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from slo.errors import SourceError
from slo.limits import asked_for
from slo.promql.ast import Aggregate, Node, VectorSelector
from slo.promql.samples import Samples, Series
from slo.source.base import Matrix, Source
from slo.source.counted import CountSource
from slo.spec.model import Slo

# So many moments of an SLO's window at which a source is asked whether it has the SLO's series.
_LOOKS = 300


@dataclass(frozen=True, slots=True)
class SourcePart:
    """A source, and the SLOs that it is for: a pattern of the service or of `service/name`; "" stands for those that it has."""

    source: Source
    of: str = ""

    def takes(self, slo: Slo) -> bool:
        """Whether it is named for an SLO."""
        return bool(self.of) and (fnmatchcase(slo.service, self.of) or fnmatchcase(slo.id, self.of))


class Several:
    """Some sources as one. An SLO is asked of the source that is named for it, else of the one that has its series."""

    def __init__(self, parts: Sequence[SourcePart]) -> None:
        self.parts = tuple(parts)
        self._chosen: dict[str, Source] = {}

    @property
    def name(self) -> str:
        """All names."""
        return ", ".join(part.source.name for part in self.parts)

    @property
    def local(self) -> bool:
        """Whether all of them are."""
        return all(part.source.local for part in self.parts)

    @property
    def notes(self) -> tuple[str, ...]:
        """What any has said, each once."""
        return tuple(dict.fromkeys(note for part in self.parts for note in part.source.notes))

    def latest_ms(self) -> int:
        """The last moment that all of them know of. Raises SourceError."""
        return min(part.source.latest_ms() for part in self.parts)

    def of(self, slo: Slo) -> Source:
        """The one source of an SLO. Raises SourceError where several have its series: added up they might count twice."""
        if slo.id not in self._chosen:
            self._chosen[slo.id] = self._of(slo)
        return self._chosen[slo.id]

    def _of(self, slo: Slo) -> Source:
        for part in self.parts:
            if part.takes(slo):
                return part.source
        rest = [part.source for part in self.parts if not part.of]
        if not rest:
            patterns = ", ".join(part.of for part in self.parts)
            raise SourceError(f"{slo.id}: no source is named for it; there are some for {patterns}")
        if len(rest) == 1:
            return rest[0]
        with asked_for(slo.id):
            having = [source for source in rest if _has(source, slo)]
        if len(having) > 1:
            both = " and ".join(source.name for source in having[:2])
            raise SourceError(
                f"{slo.id}: {both} both have its series, and added up they might count twice; say which with "
                f"--source {slo.service}=…, or ask one server above both"
            )
        # Without data it is said of the first one.
        return (having or rest)[0]

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        """The samples of all sources; a series that two of them have is a SourceError."""
        held: dict[tuple[tuple[str, str], ...], tuple[str, Series]] = {}
        for part in self.parts:
            for series in part.source.samples(selectors, start_ms, end_ms).series:
                key = tuple(sorted(series.labels.items()))
                if key in held:
                    raise SourceError(f"{held[key][0]} and {part.source.name} both have {dict(key)}; name one of them")
                held[key] = (part.source.name, series)
        return Samples.from_series((series.labels, series.times, series.values) for _, series in held.values())

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        """Nothing: an expression is answered by one source. Raises SourceError."""
        self._one_only(expr)

    def query(self, expr: Node, at_ms: int) -> Matrix:
        """Nothing: an expression is answered by one source. Raises SourceError."""
        self._one_only(expr)

    def _one_only(self, expr: Node) -> NoReturn:
        raise SourceError(f"{self.name}: {str(expr)[:200]} is answered by one source; name one only for this")


def _has(source: Source, slo: Slo) -> bool:
    """Whether a source has had series of an SLO in its window."""
    if isinstance(source, CountSource):
        return source.has(slo)
    end_ms = source.latest_ms()
    start_ms = end_ms - slo.window.nominal_ms
    selectors = slo.sli.selectors()
    if source.local:
        return bool(source.samples(selectors, start_ms, end_ms).series)
    step_ms = max(1000, slo.window.nominal_ms // _LOOKS // 1000 * 1000)
    first = end_ms - slo.window.nominal_ms // step_ms * step_ms
    return any(
        source.query_range(Aggregate("group", selector), first, end_ms, step_ms).series for selector in selectors
    )


def combined(sources: Mapping[str, Source] | Sequence[tuple[str, Source]]) -> Source:
    """One source of several, each with the pattern of its SLOs ("" for none)."""
    pairs = list(sources.items() if isinstance(sources, Mapping) else sources)
    if len(pairs) == 1 and pairs[0][0] in ("", "*"):
        return pairs[0][1]
    several: Any = Several([SourcePart(source, of) for of, source in pairs])
    chosen: Source = several
    return chosen
