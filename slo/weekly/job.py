"""The job: which periods are due, their reports, their deliveries. Everything but the clock and the printing."""

from __future__ import annotations

import fcntl
import io
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slo.budget.model import State
from slo.errors import ConfigError, Problem, SloError, SourceError
from slo.files import write_pages, write_text
from slo.ledger import STEP_MS, Entry, Ledger, entries_of, fingerprint
from slo.limits import anew, one_run
from slo.report.formats import Head, files
from slo.report.page import FOLDER
from slo.report.values import Values, values_of
from slo.review import review
from slo.sli.counts import Grid
from slo.source import open as open_source
from slo.source import open_all
from slo.source.failure import OutOfTimeError
from slo.spec.load import load
from slo.spec.model import Slo, Specs
from slo.weekly.archive import index_page, is_readable
from slo.weekly.config import Format, WeeklyConfig, shown_host
from slo.weekly.deliver import DeliveryError, addressees, post_webhook, send_email
from slo.weekly.message import chat_text, mail_text
from slo.weekly.null import NullSource
from slo.weekly.period import Period, last_whole, unit_of
from slo.weekly.state import Done, JobState, mark_of
from slo.window import Calendar, moment, moment_ms

if TYPE_CHECKING:
    from slo.budget.model import Budget
    from slo.budget.recorded import From
    from slo.source import Source

FINE, INCOMPLETE = 0, 1
NAMES: dict[Format, str] = {"html": "index.html", "markdown": "report.md", "json": "report.json", "csv": "report.csv"}
Log = Callable[[str, Mapping[str, Any]], None]
# Seconds before the first repetition; each next one waits twice as long.
RETRY_S = 10.0
# After so many SLOs in a row that it did not answer a source is taken to be down.
_DOWN_AFTER = 3
# By how much this machine's clock may differ from a server's, and by how much a period's end may lie in that one's future.
_CLOCKS_MS, _FUTURE_MS = 3_600_000, 60_000


@dataclass
class _JobRun:
    """What happened, for the metrics."""

    reports: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    pending: int = 0
    late: set[str] = field(default_factory=set)  # where a delivery took too long: nothing more goes there in this run


def run(
    config: WeeklyConfig,
    now_ms: int,
    log: Log,
    environment: Mapping[str, str] = os.environ,
    wait: Callable[[float], None] = time.sleep,
    by_clock: bool = False,
) -> int:
    """Makes and delivers the reports of all whole periods that are due at `now_ms`; `by_clock` says that it is this machine's
    present, and no moment that somebody chose: it is compared with a server's.

    Returns 0 where everything is done, 1 where something is left for the next run (a source that failed, a delivery).
    `log` gets an event's name and fields. Raises DefinitionError, ConfigError, OSError.
    """
    begun = time.monotonic()
    config.folder.mkdir(parents=True, exist_ok=True)
    with one_run(), _locked(config.folder / ".lock"):
        progress = _JobRun()
        specs = in_zone(load(config.definitions), config.zone.key)
        place = config.folder / "state.json"
        state = JobState.read(place)
        for period in due(config, state, now_ms):
            done = state.periods.setdefault(period.name, Done())
            with anew():
                _period(
                    config,
                    specs,
                    period,
                    done,
                    progress,
                    log,
                    environment,
                    wait,
                    lambda: state.write(place),
                    now_ms,
                    by_clock,
                )
        ordered = [name for name in sorted(state.periods) if (config.folder / name / "report.json").exists()]
        for name in ordered:
            if not is_readable(config.folder, name):
                reported = f"{config.folder / name / 'report.json'}: is damaged, and left out of the index; remove its period from {place} to have it made again"
                log("report damaged", {"period": name, "error": reported})
        write_text(config.folder / "index.html", index_page(config.folder, ordered, config.title))
        progress.pending = len(due(config, state, now_ms))
        code = INCOMPLETE if progress.pending else FINE
        if config.metrics is not None:
            write_text(config.metrics, metrics(config, state, progress, now_ms, time.monotonic() - begun, code))
        log("finished", {"reports": progress.reports, "pending": progress.pending, "exit_code": code})
        return code


def in_zone(specs: Specs, zone: str) -> Specs:
    """The definitions with the calendar windows of a time zone, but for those that name their own: a report on a month there is
    about that month."""

    def moved(slo: Slo) -> Slo:
        if not isinstance(slo.window, Calendar) or slo.window.zone != "UTC":
            return slo
        return replace(slo, window=replace(slo.window, zone=zone))

    services = [replace(service, slos=tuple(map(moved, service.slos))) for service in specs.services]
    return Specs(services, specs.warnings)


def due(config: WeeklyConfig, state: JobState, now_ms: int) -> list[Period]:
    """The periods that are not over with, oldest first: the last whole one, those missed since the last run, at most
    `catch_up` of them. Before the first run nothing was missed."""
    periods: list[Period] = []
    # Of another unit's periods, where `period` was changed, nothing follows: it begins anew with the last whole one.
    last = max((name for name in state.periods if unit_of(name) == config.unit), default="")
    for back in range(config.catch_up):
        period = last_whole(now_ms, config.unit, config.zone, back)
        known = state.periods.get(period.name)
        if known is None and back and period.name < last:
            continue
        if known is None and back and not last:
            break
        if known is None or not _is_over(config, known):
            periods.append(period)
    return periods[::-1]


def _is_over(config: WeeklyConfig, done: Done) -> bool:
    return done.whole and all(_has(config, name, done.delivered) for name in _deliveries(config))


def _has(config: WeeklyConfig, name: str, already: Sequence[str]) -> bool:
    """Whether all that a delivery is for have it."""
    return name in already or (name == "email" and not _left(config, already))


def _left(config: WeeklyConfig, already: Sequence[str]) -> list[str]:
    """The addressees who do not have a mail yet."""
    assert config.email is not None
    return [address for address in addressees(config.email) if mark_of(address) not in already]


def _deliveries(config: WeeklyConfig) -> list[str]:
    return [name for name in ("email", "webhook") if getattr(config, name) is not None]


def _period(
    config: WeeklyConfig,
    specs: Specs,
    period: Period,
    done: Done,
    result: _JobRun,
    log: Log,
    environment: Mapping[str, str],
    wait: Callable[[float], None],
    save: Callable[[], None],
    now_ms: int,
    by_clock: bool,
) -> None:
    folder = config.folder / period.name
    if not done.whole or not (folder / NAMES["markdown"]).exists():
        ledger = None if config.ledger is None else Ledger(config.ledger)
        if ledger is not None and ledger.migrated:
            log("ledger migrated", {"ledger": str(config.ledger), "files": ledger.migrated})
        clock_ms = now_ms if by_clock and config.is_server else None
        budgets, problem, values = _evaluated(config, specs, period, ledger, log, wait, clock_ms)
        changed = _with_changes(config, specs, period, budgets, ledger)
        texts = _texts(config, changed, period, budgets, now_ms, problem, values)
        write_pages(folder, texts)
        result.reports += 1
        done.whole = problem is None
        if problem is not None:
            result.failed["source"] = result.failed.get("source", 0) + 1
        save()
        invalid = [budget.slo.id for budget in budgets if budget.state is State.INVALID]
        log("report", {"period": period.name, "slos": len(budgets), "missing": problem, "invalid": invalid})
    text = (folder / NAMES["markdown"]).read_text(encoding="utf-8")
    for name in _deliveries(config):
        # A report with missing data is delivered once, and the whole one when the source has answered.
        already = done.delivered if done.whole else done.notified
        if _has(config, name, already):
            continue
        try:
            if name in result.late:
                raise DeliveryError("not tried: the delivery before took too long; the next run tries again")
            if name == "email":
                assert config.email is not None
                subject = f"{config.title}: {period.name}"
                left = _left(config, already)
                refused = send_email(
                    config.email, config.port, subject, mail_text(text), _attached(folder), environment, left
                )
                if refused:
                    already += [mark_of(address) for address in left if address not in refused]
                    save()
                    raise DeliveryError(
                        f"{shown_host(config.email.host)}:{config.port} did not take {', '.join(refused)}; the others have it, and the next run "
                        "tries these again"
                    )
            else:
                assert config.webhook is not None
                link = "" if config.webhook.link is None else f"{config.webhook.link.rstrip('/')}/{period.name}/"
                post_webhook(config.webhook, *chat_text(text, link), environment)
        except SloError as error:
            result.failed[name] = result.failed.get(name, 0) + 1
            if isinstance(error, DeliveryError) and error.late:
                result.late.add(name)
            log("delivery failed", {"period": period.name, "to": name, "error": str(error)})
        else:
            already.append(name)
            save()
            log("delivered", {"period": period.name, "to": name})


def _evaluated(
    config: WeeklyConfig,
    specs: Specs,
    period: Period,
    ledger: Ledger | None,
    log: Log,
    wait: Callable[[float], None],
    clock_ms: int | None,
) -> tuple[list[Budget], str | None, dict[str, Values]]:
    """The budgets at the period's end, and what is held against bounds; what the source does not answer has no data, and
    the problem is reported."""
    problem = ""
    source: Source | None = None
    for attempt in range(config.retries + 1):
        if attempt:
            wait(RETRY_S * 2 ** (attempt - 1))
        try:
            source = _opened(config)
            if clock_ms is not None:
                _check_clock(source, period, clock_ms)
            if ledger is not None:
                ledger.write(entries_of(specs.values(), source, period.start_ms, period.end_ms))
            budgets = list(_budgets(config, specs.values(), source, period, ledger))
            return budgets, None, values_of(budgets, source) if "html" in config.formats else {}
        except SourceError as error:
            problem = str(error)
            log("source failed", {"period": period.name, "attempt": attempt + 1, "error": problem})
            if isinstance(error, OutOfTimeError):
                break
    return *_one_by_one(config, specs, source, period, ledger, problem, log), {}


def _check_clock(source: Source, period: Period, clock_ms: int) -> None:
    """Raises ConfigError where this machine's clock cannot be right, by the server's; SourceError where that does not answer.

    Of a clock that is ahead a period is taken to be over that is not, and kept as one without data; of one that is
    behind a report of long ago is delivered.
    """
    present_ms = source.latest_ms()
    if abs(clock_ms - present_ms) > _CLOCKS_MS or period.end_ms > present_ms + _FUTURE_MS:
        here, there = (moment(ms).strftime("%Y-%m-%dT%H:%M:%SZ") for ms in (clock_ms, present_ms))
        raise ConfigError(
            f"this machine's clock says {here}, that of {source.name} {there}: one of them is wrong, and no report was made; "
            "set it, or name the moment with --now"
        )


def _opened(config: WeeklyConfig) -> Source:
    if config.source is None:
        return open_all([], config=config.source_config)
    return open_source(config.source, config=config.source_config)


def _budgets(
    config: WeeklyConfig, slos: Iterable[Slo], source: Source, period: Period, ledger: Ledger | None
) -> tuple[Budget, ...]:
    """All that a report shows of some SLOs. Raises SourceError."""
    slos = list(slos)
    since = period.end_ms - period.start_ms
    events = () if config.events is None else config.events
    # A ledger's steps begin where the period does, and tiles where the server's clock has them.
    read: From = "auto" if ledger is None else "raw"
    known = _known(ledger, slos)
    return review(slos, source, at=period.end_ms, since=since, events=events, known=known, read=read).budgets


def _one_by_one(
    config: WeeklyConfig,
    specs: Specs,
    source: Source | None,
    period: Period,
    ledger: Ledger | None,
    problem: str,
    log: Log,
) -> tuple[list[Budget], str]:
    """Each SLO by itself, so that one which the source cannot answer leaves the others their data.

    After several failures in a row the source is down, and is asked no more.
    """
    budgets: list[Budget] = []
    entries: dict[str, Entry] = {}
    failed: list[str] = []
    in_a_row = 0
    for slo in specs.values():
        if source is not None and in_a_row < _DOWN_AFTER:
            try:
                if ledger is not None:
                    entries |= entries_of([slo], source, period.start_ms, period.end_ms)
                budgets += _budgets(config, [slo], source, period, ledger)
                in_a_row = 0
                continue
            except SourceError as error:
                problem = str(error).removeprefix(f"{slo.id}: ")  # which is named alongside it
                in_a_row += 1
                log("objective failed", {"period": period.name, "slo": slo.id, "error": problem})
        failed.append(slo.id)
        nothing = NullSource(config.source or str(config.source_config), f"missing data: {problem}")
        budgets += _budgets(config, [slo], nothing, period, ledger)
    if ledger is not None:
        ledger.write(entries)
    if len(failed) == len(specs):
        return budgets, problem
    return budgets, f"{len(failed)} of {len(specs)} SLOs ({_several(failed)}): {problem}" if failed else problem


def _with_changes(
    config: WeeklyConfig, specs: Specs, period: Period, budgets: Sequence[Budget], ledger: Ledger | None
) -> Specs:
    """The definitions with warnings of what the ledger has of others: of SLIs that were changed, of SLOs renamed and gone."""
    if ledger is None:
        return specs
    texts = [
        f"{name}: its SLI was another one in {', '.join(periods)}; what was counted then is left out"
        for name, periods in sorted(ledger.changed.items())
    ]
    texts += _renamed(specs, period, budgets, ledger)
    warnings = [Problem(str(config.ledger), 0, 0, "", text, "warning") for text in texts]
    return Specs(specs.services, [*specs.warnings, *warnings])


def _renamed(specs: Specs, period: Period, budgets: Sequence[Budget], ledger: Ledger) -> Iterator[str]:
    """What is to be said of names that the ledger has and that are defined no more.

    Of each SLO whose window reaches back to where its very SLI was counted under such a name; and, once, of the others
    that were counted in the period before.
    """
    base = _base_names(specs.values())
    successors: set[str] = set()
    for slo in specs.values():
        starts = [budget.start for budget in budgets if base(budget.slo.id) == slo.id]
        if not starts:
            continue
        others = ledger.counted(moment_ms(min(starts)), period.start_ms)
        before: dict[str, list[str]] = {}
        for then, names in others.items():
            if any(base(name) == slo.id for name in names):
                continue
            same = [name for name, sli in names.items() if not base(name) and sli == fingerprint(slo.sli)]
            for name in same:
                before.setdefault(name, []).append(then)
        successors |= set(before)
        if before:
            periods = sorted({item for result in before.values() for item in result})
            yield (
                f"{slo.id}: its SLI was counted as {_several(sorted(before))} in {', '.join(periods)}, a name that is defined no more; under a new "
                "name an error budget begins anew. To go on with the old one, give it the old name"
            )
    length_ms = period.end_ms - period.start_ms
    gone = {
        name
        for names in ledger.counted(period.start_ms - length_ms, period.start_ms).values()
        for name in names
        if not base(name)
    }
    if gone - successors:
        yield f"no longer defined, and not on this report: {_several(sorted(gone - successors))}"


def _several(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _base_names(slos: Iterable[Slo]) -> Callable[[str], str]:
    """Which SLO a name belongs to: of one with `by` there is one for each value, `service/name.value`; "" for none."""
    defined = {slo.id for slo in slos}

    def base(name: str) -> str:
        while name not in defined and "." in name:
            name = name.rpartition(".")[0]
        return name if name in defined else ""

    return base


def _known(ledger: Ledger | None, slos: Iterable[Slo]) -> Callable[[str, Grid], tuple[Any, Any]] | None:
    if ledger is None:
        return None

    slis = {slo.id: fingerprint(slo.sli) for slo in slos}
    base = _base_names(slos)

    def sli_of(name: str) -> str:
        return slis.get(base(name), "")

    def known(slo: str, grid: Grid) -> tuple[Any, Any]:
        errors, total = np.full(grid.steps, np.nan), np.full(grid.steps, np.nan)
        if grid.step_ms == STEP_MS and not grid.end_ms % STEP_MS:
            entry = ledger.entry(slo, grid.start_ms, grid.end_ms, sli_of(slo))
            index = (entry.ends - grid.start_ms) // STEP_MS - 1
            errors[index], total[index] = entry.errors, entry.total
        return errors, total

    return known


def _texts(
    config: WeeklyConfig,
    specs: Specs,
    period: Period,
    budgets: Sequence[Budget],
    now_ms: int,
    problem: str | None,
    values: Mapping[str, Values],
) -> Mapping[str, str]:
    generated = moment(now_ms)
    head = Head(f"{config.title}: {period}", generated, specs.warnings, problem or "", values)
    # The index needs the figures, and messages the summary, whatever is asked for; the page comes last.
    formats = [name for name in ("json", "markdown", "csv", "html") if name in ("json", "markdown", *config.formats)]
    return files(budgets, formats, head)


def _attached(folder: Path) -> tuple[str, bytes] | None:
    """The name and content of what is mailed: the page, or all pages as one zip file; None without a page."""
    index = folder / NAMES["html"]
    if not index.exists():
        return None
    pages = sorted((folder / FOLDER).glob("*.html"))
    if not pages:
        return "error-budgets.html", index.read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for page in (index, *pages):
            archive.write(page, page.relative_to(folder))
    return "error-budgets.zip", packed.getvalue()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One run at a time; the lock goes with the process, however it ends. Raises ConfigError."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another run is at work in {path.parent}; it holds {path.name}") from None
        yield


def metrics(config: WeeklyConfig, state: JobState, result: _JobRun, now_ms: int, seconds: float, code: int) -> str:
    """The run's own metrics in Prometheus's text format, for the textfile collector."""
    whole = [name for name, done in state.periods.items() if _is_over(config, done)]
    rows: list[tuple[str, str, str, list[tuple[str, float]]]] = [
        ("slo_weekly_last_run_timestamp_seconds", "gauge", "When the job last ran.", [("", now_ms / 1000)]),
        ("slo_weekly_last_run_duration_seconds", "gauge", "How long it took.", [("", round(seconds, 3))]),
        ("slo_weekly_last_run_success", "gauge", "1 where nothing is left to do.", [("", float(code == FINE))]),
        ("slo_weekly_pending_periods", "gauge", "Periods that are not over with.", [("", result.pending)]),
        ("slo_weekly_finished_periods", "gauge", "Periods that are.", [("", len(whole))]),
        (
            "slo_weekly_last_run_failures",
            "gauge",
            "Failures of the last run, by what failed.",
            [(f'{{what="{what}"}}', result.failed.get(what, 0)) for what in ("source", *_deliveries(config))],
        ),
    ]
    lines = []
    for name, kind, text, values in rows:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{labels} {value:.15g}" for labels, value in values]
    return "\n".join(lines) + "\n"
