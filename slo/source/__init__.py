"""Where samples and query results come from: a Prometheus, a recording on disk, a simulation. One small interface."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from slo.errors import ConfigError
from slo.redact import holds_userinfo, without_userinfo

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from slo.promql.ast import Node, VectorSelector
    from slo.promql.samples import Samples


class MatrixSeries(NamedTuple):
    """One series of a `Matrix`: its labels and a value per time, NaN where there is none."""

    labels: Mapping[str, str]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """The values of an expression at each of `times` (int64 milliseconds UTC, ascending).

    A series without a value at some time has NaN there; no series at all is an empty answer, not an error. `notes` is
    what the source said beside it, such as that the answer is partial.
    """

    times: NDArray[np.int64]
    series: tuple[MatrixSeries, ...]
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One float64 column per series, named as PromQL writes it, over a UTC DatetimeIndex called `time`."""
        import pandas as pd

        index = pd.DatetimeIndex(pd.to_datetime(self.times, unit="ms", utc=True), name="time")
        return pd.DataFrame({_text(series.labels): series.values for series in self.series}, index=index)


class Source(Protocol):
    """Where samples and query results come from. All methods raise errors.SourceError with a plain statement."""

    @property
    def name(self) -> str:
        """For humans; never holds a credential."""

    @property
    def local(self) -> bool:
        """Whether raw samples cost nothing to ask for."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the source has said beside its answers so far, such as that one is partial; each once."""

    def latest_ms(self) -> int:
        """The last moment that the source knows of: a recording's end, a server's present."""

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        """The raw samples of all series that any of the selectors matches, start_ms <= time <= end_ms, stale markers
        where the source has them. The selectors' offsets are ignored."""

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        """The expression at start_ms, start_ms + step_ms, … up to end_ms."""

    def query(self, expr: Node, at_ms: int) -> Matrix:
        """The expression at one time."""


def retention_ms(source: Source) -> int | None:
    """How long a source keeps its samples, milliseconds; None where it does not say, as a recording does not.

    A source may have a method of this name, which asks once and never raises.
    """
    ask = getattr(source, "retention_ms", None)
    found: int | None = None if ask is None else ask()
    return found


def open(text: str | os.PathLike[str], *, config: str | os.PathLike[str] | None = None) -> Source:
    """The source at an http(s) URL of anything with the Prometheus API, or at a path: a recording, or a CSV or Parquet file
    of events per step. Other schemes are those of installed packages (entry points of the group `slo.sources`).

    `host:9090` is `http://host:9090`, unless there is such a file.

    `config` is the YAML file with credentials and limits for a server (none: that of SLO_CONFIG, if set); the
    environment wins over it. Opening talks to no server. Raises ConfigError, RecordingError.
    """
    if isinstance(text, str) and _HOST_AND_PORT.fullmatch(text.strip()) and not Path(text).exists():
        text = f"http://{text.strip()}"
    if isinstance(text, str) and text.strip().lower().startswith(("http://", "https://")):
        from slo.source.prometheus import PrometheusSource

        return PrometheusSource.open(text, config=config)
    place = os.fspath(text)
    if _ADDRESS.match(place) and not Path(place).exists():
        return _of_package(place, None if config is None else os.fspath(config))
    from slo.source.recording import Recording, holds_counts

    path = Path(text)
    if path.suffix.lower() == ".csv" or holds_counts(path):
        from slo.source.counted import CountSource

        return CountSource.open(path)
    return Recording.open(path)


_HOST_AND_PORT = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}(?:/[^?#]*)?")
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
# A scheme, whether right or not, or a user with a password.
_ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*(:/|//)|:?//|[^/\s:]*:[^\s]*@)")

# Packages add sources under this group of entry points: the name is a scheme, the value a function of the URL and of the
# path of a configuration file (or None) that gives a `Source`.
GROUP = "slo.sources"


def _of_package(address: str, config: str | None) -> Source:
    """The source of an installed package. Raises ConfigError where none has the scheme of the address, or it has none."""
    from importlib.metadata import entry_points

    from slo.suggest import suggest

    # What follows `?` and `#` may be a token.
    shown = (without_userinfo(address) if holds_userinfo(address) else address).partition("?")[0].partition("#")[0]
    found = _SCHEME.match(address)
    if found is None:
        raise ConfigError(
            f"{shown}: sources are addresses that begin with http:// or https://, and recordings or events on disk; there is "
            "none of this name"
        )
    scheme = found[1]
    known = {point.name: point for point in entry_points(group=GROUP)}
    if scheme not in known:
        raise ConfigError(f"{shown}: no source for {scheme}://…{suggest(scheme, ['http', 'https', *known])}")
    source: Source = known[scheme].load()(address, config)
    return source


def _text(labels: Mapping[str, str]) -> str:
    import json

    rest = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items() if name != "__name__"
    )
    name = labels.get("__name__", "")
    return f"{name}{{{rest}}}" if rest or not name else name
