"""The functions that `import slo` offers: what the command line does, as Python."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from slo.budget.evaluate import evaluate as _evaluate
from slo.budget.evaluate import evaluate_all as _evaluate_all
from slo.budget.model import Budget
from slo.source import Source
from slo.source import open as _open
from slo.source.counted import CountSource
from slo.spec.load import load as _load
from slo.spec.model import Slo, Specs
from slo.window import moment_ms, parse_duration

if TYPE_CHECKING:
    import pandas as pd

    from slo.source.recording import Recording

PathLike = str | os.PathLike[str]


def load(paths: PathLike | Iterable[PathLike]) -> Specs:
    """The SLOs in definition files and folders, by `service/name`.

    Raises DefinitionError with every fault of every file; what is only doubtful is in the result's `warnings`.
    """
    return _load(paths)


def open(source: PathLike, *, config: PathLike | None = None) -> Source:
    """A source of samples: the http(s) URL of anything with the Prometheus API, or a recording's path.

    Credentials come from the environment or from `config`, see docs/sources.md. Raises SourceError.
    """
    return _open(os.fspath(source), config=None if config is None else os.fspath(config))


def evaluate(slo: Slo, source: Source, *, end: datetime | int | None = None) -> Budget:
    """The error budget of one SLO at `end`: a datetime with a time zone, or milliseconds UTC.

    Without `end`: a recording's end, a server's present. Raises SourceError.
    """
    return _evaluate(slo, source, source.latest_ms() if end is None else end)


def evaluate_all(slos: Specs | Iterable[Slo], source: Source, *, end: datetime | int | None = None) -> list[Budget]:
    """The error budgets of many SLOs, all at the same moment, in their order. Raises SourceError."""
    at = source.latest_ms() if end is None else end
    return _evaluate_all(slos.values() if isinstance(slos, Specs) else slos, source, at)


def compare(budgets: Iterable[Budget], source: Source, *, since: str | int = "7d") -> list[Budget]:
    """The budgets beside their past: `earlier`, the same objective so long ago (a duration, or milliseconds), `change` since
    then, and `previous`, the window that ended where a budget's own begins. No other figure changes."""
    from slo.budget.past import with_past

    return with_past(list(budgets), source, parse_duration(since) if isinstance(since, str) else since)


def breakdown(slo: Slo, source: Source, start: datetime, end: datetime) -> Mapping[str, pd.DataFrame]:
    """Who was hit between two moments (with time zones): for each label that divides the series a table by its values.

    Columns: `errors`, `total` (events), `error_ratio`, `errors_share`, `total_share` (0..1), most bad events first. Raises
    SourceError.
    """
    from slo.budget.breakdown import interval_tables

    return interval_tables(slo, source, moment_ms(start), moment_ms(end))


def from_events(
    frame: pd.DataFrame,
    *,
    time: str = "time",
    total: str = "total",
    good: str | None = None,
    errors: str | None = None,
    slo: str | None = None,
    step: str | int | None = None,
) -> CountSource:
    """A source of numbers of events that were counted elsewhere: a row per step, and if there are several SLOs per step and SLO.

    `time`, `total`, `good` or `errors`, and `slo` name columns. Times are where steps begin: datetimes (without a zone UTC), text
    or Unix seconds; `slo` holds ids such as `shop/availability`. Rows are `step` long (a duration or milliseconds), else as long as the
    shortest distance of two; rows of the same time add up. An SLO's own SLI is not asked. Raises SourceError.

    >>> source = slo.from_events(frame, good="ok", total="all")  # doctest: +SKIP
    >>> slo.evaluate(specs["shop/availability"], source).remaining  # doctest: +SKIP
    """
    return CountSource.of_frame(frame, time=time, total=total, good=good, errors=errors, slo=slo, step=step)


def summary(budgets: Iterable[Budget]) -> pd.DataFrame:
    """A table of budgets, a row for each, indexed by the SLO's id, in their order.

    Columns: `service`, `owner`, `objective` (percent), `window`, `state`, `sli`, `error_ratio`, `consumed`, `remaining` (ratios), `errors`, `total`
    (events), `burn_1h`, `burn_6h`, `burn_3d`, `coverage` (0..1), `exhaustion` (UTC). Unknown figures are NaN or NaT.
    """
    import pandas as pd

    rows = [
        {
            "slo": budget.slo.id,
            "service": budget.slo.service,
            "owner": budget.slo.owner,
            "objective": float(budget.slo.objective.percent),
            "window": str(budget.slo.window),
            "state": budget.state.value,
            **{
                name: getattr(budget, name)
                for name in ("sli", "error_ratio", "consumed", "remaining", "errors", "total")
            },
            **{f"burn_{window}": budget.burn_rate(window) for window in ("1h", "6h", "3d")},
            "coverage": budget.coverage,
            "exhaustion": budget.exhaustion,
        }
        for budget in budgets
    ]
    texts = ("slo", "service", "owner", "window", "state")
    columns = (
        *texts[:3], "objective", *texts[3:], "sli", "error_ratio", "consumed", "remaining", "errors", "total", "burn_1h", "burn_6h",
        "burn_3d", "coverage", "exhaustion",
    )  # fmt: skip
    table = pd.DataFrame(rows, columns=list(columns))
    table["exhaustion"] = pd.to_datetime(table["exhaustion"], utc=True)
    numbers = [column for column in columns if column not in (*texts, "exhaustion")]
    table[numbers] = table[numbers].astype(float)
    return table.set_index("slo")


def simulate(specs: Specs, path: PathLike, *, end: datetime, days: float = 40, seed: int = 1) -> Recording:
    """Writes a recording of plausible traffic for any definition, with incidents in it, and opens it.

    What was planted is in the recording's `header.truth`. Raises SloError.
    """
    from slo.source.recording import Recording, write
    from slo.source.simulation import simulate as make

    samples, header = make(specs, days=days, seed=seed, end_ms=moment_ms(end))
    write(path, samples, header)
    return Recording.open(path)
