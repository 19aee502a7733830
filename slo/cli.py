"""The command line. The only room that prints, reads flags, reads the clock, or exits."""

from __future__ import annotations

import gc
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from slo.errors import ConfigError, DefinitionError, SloError, named
from slo.redact import hide_secrets

if TYPE_CHECKING:
    from slo.backtest import Backtest
    from slo.budget.model import Budget
    from slo.source import Source
    from slo.spec.model import Specs

FINE, OUT_OF_BUDGET, BAD_INPUT, UNEXPECTED = 0, 1, 2, 3
# A report compares with how things stood a week before.
_SINCE_MS = 7 * 86_400_000

app = typer.Typer(
    name="slo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="SLOs and error budgets: definitions become Prometheus rules, exact figures and reports.",
    epilog="Exit codes: 0 fine, 1 out of budget (with --fail-on-exhausted), 2 bad input or a source that failed, "
    "3 an error that should not happen (--debug shows its traceback).",
)

Paths = Annotated[list[Path], typer.Argument(metavar="PATH…", help="Definition files, or folders of them.")]
SourceName = Annotated[
    str,
    typer.Option(
        "--source", "-s", help="An http(s) URL with the Prometheus API, or a recording's path.", envvar="SLO_SOURCE"
    ),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="Credentials and time-outs of the source.", envvar="SLO_CONFIG")
]
End = Annotated[
    str | None,
    typer.Option(
        "--end",
        help="The moment of evaluation: 2026-11-20T12:00:00Z or Unix seconds. [default: a recording's end, or now]",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")]
Gate = Annotated[
    bool,
    typer.Option(
        "--fail-on-exhausted", help="Exit with 1 if an error budget is exhausted, or its figures are invalid."
    ),
]


def main() -> NoReturn:
    """Runs the command line; every error becomes a message and an exit code here."""
    # Most of what a command makes lives until its end: looking for cycles often would only cost.
    gc.set_threshold(200_000, 50, 50)
    # Arithmetic on values of 1e308 is said in notes, in words; numpy's own warnings name lines of code.
    warnings.simplefilter("ignore", RuntimeWarning)
    arguments, debug = _without_debug(sys.argv[1:])
    sys.exit(_run(arguments, debug))


def _run(arguments: Sequence[str], debug: bool) -> int:
    """The exit code of one command, its errors said on standard error."""
    try:
        code = app(args=list(arguments), standalone_mode=False) or FINE
        sys.stdout.flush()  # here, where a full disk or a closed pipe still has an exit code
    except SloError as error:
        _trace(debug)
        _complain(error)
        return BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader of a pipe went away, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:  # noqa: BLE001 - whatever it is, 1 is promised to mean something else
        if isinstance(error, OSError) and error.errno is not None:
            _trace(debug)
            _say(f"error: {error.filename or ''}: {error.strerror or error}".replace(": : ", ": "))
            _discard_output()
            return BAD_INPUT
        # Click's own usage errors; its classes differ between versions of typer, their shape does not.
        if hasattr(error, "format_message"):
            _usage(error)
            return int(getattr(error, "exit_code", BAD_INPUT))
        _trace(debug)
        _say(_bug(error, debug))
        return UNEXPECTED
    return code if isinstance(code, int) else FINE


def _without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """The arguments without `--debug`, wherever it stands before `--`, and whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    before = [text for text in arguments[:end] if text != "--debug"]
    return [*before, *arguments[end:]], len(before) < end


def _usage(error: Any) -> None:
    """What click says of a wrong command line, which may hold a password in the wrong place."""
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if context is None:
        _say(f"error: {message}")
    elif type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        _say(f"{context.get_usage()}\nTry '{context.command_path} --help'.\nerror: {message}")


def _trace(debug: bool) -> None:
    """The traceback of the exception at hand, where it was asked for."""
    if debug:
        import traceback

        _say(traceback.format_exc().rstrip())


def _bug(error: Exception, debug: bool) -> str:
    import platform
    from importlib.metadata import PackageNotFoundError, metadata

    import slo

    where = "the issue tracker of this project"
    try:
        addresses = [line.partition(", ") for line in metadata("slo").get_all("Project-URL") or ()]
        where = next((address for name, _, address in addresses if "issue" in name.lower()), where)
    except PackageNotFoundError:
        pass
    text = " ".join(str(error).split())
    what = f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
    more = "" if debug else ", and what the same command prints with --debug"
    return (
        f"error: slo failed in a way that it should not: {what}\nThis is a bug. Please report it at {where}, with this "
        f"message{more} (slo {slo.__version__}, Python {platform.python_version()}, {platform.system()})"
    )


def _discard_output() -> None:
    """Drops what is left to print where it cannot be printed, so that the interpreter does not try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Also print the traceback of an error; accepted anywhere.")
    ] = False,
) -> None:
    if version:
        import slo

        print(slo.__version__)
        raise typer.Exit


@app.command(epilog="Example: slo check definitions/")
def check(paths: Paths, as_json: AsJson = False) -> int:
    """Validate definitions; shows every fault of every file."""
    from slo.spec.load import load

    try:
        specs = load(paths)
        problems, failed = list(specs.warnings), False
    except DefinitionError as error:
        specs, problems, failed = None, list(error.problems), True
    if specs is not None:
        from slo.rules import compile_specs

        try:
            problems += compile_specs(specs)[1]
        except DefinitionError as error:
            # What withholds an SLO's figures has its place already.
            placed = {problem.message for problem in problems if problem.withheld}
            more = [problem for problem in error.problems if problem.message.partition(": ")[2] not in placed]
            specs, problems, failed = None, [*problems, *more], True
    if as_json:
        fields = ("file", "line", "column", "path", "severity", "message")
        _print_json([{field: getattr(problem, field) for field in fields} for problem in problems])
    else:
        for problem in problems:
            _say(str(problem))
        if specs is not None:
            files = len({service.file for service in specs.services})
            print(f"{_count(len(specs), 'SLO')} in {_count(files, 'file')}: fine{_doubts(problems)}")
    return BAD_INPUT if failed else FINE


class RulesFormat(StrEnum):
    """What rules can be written as."""

    PROMETHEUS = "prometheus"
    OPERATOR = "operator"


class RulesNames(StrEnum):
    """Whose names the recorded series have."""

    OWN = "slo"
    SLOTH = "sloth"


@app.command(epilog="Example: slo rules definitions/ -o rules.yml --tests rules-test.yml")
def rules(
    paths: Paths,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write, with --split the folder. [default: standard output]"),
    ] = None,
    form: Annotated[
        RulesFormat,
        typer.Option("--format", help="A rules file (Prometheus, Mimir, Thanos, vmalert), or a PrometheusRule."),
    ] = RulesFormat.PROMETHEUS,
    names: Annotated[
        RulesNames, typer.Option("--names", help="The names of recorded series and labels: our own or Sloth's.")
    ] = RulesNames.OWN,
    split: Annotated[bool, typer.Option("--split", help="One file per service.")] = False,
    namespace: Annotated[str | None, typer.Option("--namespace", help="The PrometheusRule's namespace.")] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="A label of the PrometheusRule, name=value; may be repeated.")
    ] = None,
    tests: Annotated[
        Path | None, typer.Option("--tests", help="Also write `promtool test rules` files that prove each alert.")
    ] = None,
    backfill: Annotated[
        Path | None,
        typer.Option("--backfill-script", help="Also write a script that fills the history of what is recorded."),
    ] = None,
    backfill_days: Annotated[int, typer.Option("--backfill-days", help="How many days the script fills.", min=1)] = 35,
) -> int:
    """Compile definitions into Prometheus recording and alert rules."""
    from slo.files import write_text
    from slo.rules import NAMES, backfill_script, compile_specs, passes, rule_tests, to_prometheus_rule, to_yaml

    if (tests or backfill or split) and output is None:
        raise ConfigError("--split, --tests and --backfill-script need --output")
    if (tests or backfill) and form is RulesFormat.OPERATOR:
        raise ConfigError("--tests and --backfill-script need a rules file; leave --format operator out")
    labels = dict(_pair(text) for text in label or ())
    specs = _load(paths)
    groups, problems = compile_specs(specs, NAMES[names.value])
    for problem in problems:
        _say(str(problem))
    inputs = {service.file: service.name for service in specs.services}

    def text_of(chosen: Sequence[Any], files: Sequence[str], name: str) -> str:
        if form is RulesFormat.OPERATOR:
            return to_prometheus_rule(chosen, name, namespace, labels, files)
        return to_yaml(chosen, files)

    texts: dict[Path, str] = {}
    if output is not None and split:
        for name in dict.fromkeys(inputs.values()):
            files = [file for file, service in inputs.items() if service == name]
            texts[output / f"{name}.yml"] = text_of([group for group in groups if group.service == name], files, name)
    else:
        services = list(dict.fromkeys(inputs.values()))
        whole = text_of(groups, list(inputs), services[0] if len(services) == 1 else "slo-rules")
        if output is None:
            sys.stdout.write(whole)
            return FINE
        texts[output] = whole
    if tests is not None:
        seen_from = [os.path.relpath(path, tests.parent) for path in texts]
        for number, (interval, text) in enumerate(rule_tests(specs, seen_from, NAMES[names.value]).items()):
            texts[tests if number == 0 else tests.with_stem(f"{tests.stem}-{interval}")] = text
    if backfill is not None:
        files = []
        for number, part in enumerate(passes(groups), 1):
            place = backfill.with_name(f"{backfill.stem}-pass{number}.yml")
            texts[place] = to_yaml(part, list(inputs))
            files.append(place.name)
        texts[backfill] = backfill_script(files, backfill_days)
    _apart([path for path in (output if not split else None, tests, backfill) if path], paths)
    for place, text in texts.items():
        write_text(place, text)
    count = sum(len(group.rules) for group in groups)
    told = f"{_count(count, 'rule')} in {_count(len(groups), 'group')} for {_count(len(specs), 'SLO')}"
    _say(f"{told}: {', '.join(map(str, texts))}")
    return FINE


@app.command(epilog="Example: slo status definitions/ --source http://localhost:9090")
def status(
    paths: Paths,
    source: SourceName,
    end: End = None,
    config: Config = None,
    as_json: AsJson = False,
    gate: Gate = False,
) -> int:
    """A table of all SLOs: SLI, budget left, burn rates, state."""
    from slo.budget.export import SCHEMA_VERSION, as_data

    budgets = _evaluate(_load(paths), _open(source, config), end)
    if as_json:
        _print_json({"version": SCHEMA_VERSION, "slos": [as_data(budget) for budget in budgets]})
    else:
        _table(budgets)
    return _verdict(budgets, gate)


class ReportFormat(StrEnum):
    """What a report can be written as; all hold the same figures."""

    HTML = "html"
    MARKDOWN = "markdown"
    JSON = "json"
    CSV = "csv"


@app.command(epilog="Example: slo report definitions/ --source recording.parquet -o reports/out")
def report(
    paths: Paths,
    source: SourceName,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write index.html to.")],
    end: End = None,
    config: Config = None,
    title: Annotated[str, typer.Option("--title", help="The page's title.")] = "Error budgets",
    form: Annotated[
        list[ReportFormat] | None,
        typer.Option(
            "--format", help="html (index.html), markdown, json, csv (report.*); may be repeated. [default: html]"
        ),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option("--events", help="Known incidents, deployments and planned maintenance: a YAML or CSV file."),
    ] = None,
    gate: Gate = False,
) -> int:
    """Write the report: a self-contained HTML file, from 50 SLOs on a folder of them; or the same figures in other formats."""
    from slo.budget.breakdown import with_breakdown
    from slo.budget.events import with_events
    from slo.budget.past import with_past
    from slo.files import write_pages, write_text
    from slo.report import render_pages, to_csv, to_json, to_markdown
    from slo.spec.events import read_events

    specs = _load(paths)
    known = () if events is None else read_events(events)
    origin = _open(source, config)
    budgets = with_events(_evaluate(specs, origin, end), known)
    with _progress("comparing", 2 * len(budgets)) as advance:
        budgets = with_breakdown(with_past(budgets, origin, _SINCE_MS, done=advance), origin, advance)
    head: dict[str, Any] = {"title": title, "generated": datetime.now(UTC), "warnings": specs.warnings}
    texts: dict[Path, str] = {}
    pages: dict[str, str] = {}
    with _progress("drawing", 0):
        for one in dict.fromkeys(form or [ReportFormat.HTML]):
            match one:
                case ReportFormat.HTML:
                    pages = render_pages(budgets, **head)
                case ReportFormat.MARKDOWN:
                    texts[output / "report.md"] = to_markdown(budgets, **head)
                case ReportFormat.JSON:
                    texts[output / "report.json"] = to_json(budgets, **head)
                case ReportFormat.CSV:
                    texts[output / "report.csv"] = to_csv(budgets)
    if pages:
        write_pages(output, pages)
        print(output / "index.html")
    for path, text in texts.items():
        write_text(path, text)
        print(path)
    return _verdict(budgets, gate)


@app.command(
    epilog="Example: slo record definitions/ -s http://localhost:9090 --start 2026-11-01T00:00:00Z -o november.parquet"
)
def record(
    paths: Paths,
    source: SourceName,
    start: Annotated[
        str,
        typer.Option("--start", help="2026-11-01T00:00:00Z, Unix seconds, or a duration before the end such as 30d."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The recording to write.")],
    end: End = None,
    config: Config = None,
) -> int:
    """Save the raw samples that the definitions need, to repeat and share an analysis without the server."""
    from slo.promql.samples import Samples
    from slo.source.recording import Header, write

    _apart([output], [*paths, Path(source)])
    specs = _load(paths)
    origin = _open(source, config)
    end_ms = origin.latest_ms() if end is None else _time(end, "--end")
    start_ms = _start(start, end_ms)
    if start_ms >= end_ms:
        raise ConfigError(f"--start {start} is not before the end")
    # Of each selector the first SLO that asks for it, to be named where that fails.
    selectors: dict[Any, str] = {}
    for slo in specs.values():
        for selector in slo.sli.selectors():
            selectors.setdefault(selector, slo.id)
    series: dict[tuple[tuple[str, str], ...], Any] = {}
    with _progress("recording", len(selectors)) as advance:
        for selector, owner in selectors.items():
            with named(owner):
                found = origin.samples([selector], start_ms, end_ms).series
            for one in found:
                series[tuple(sorted(one.labels.items()))] = (one.labels, one.times, one.values)
            advance()
    samples = Samples.from_series(series.values())
    write(output, samples, Header(start_ms, end_ms, origin.name))
    print(
        f"{output}: {_count(len(samples.series), 'series', 'series')}, {_count(sum(len(s.times) for s in samples.series), 'sample')}"
    )
    return FINE


@app.command(epilog="Example: slo simulate definitions/ --days 40 --seed 1 -o recording.parquet")
def simulate(
    paths: Paths,
    output: Annotated[Path, typer.Option("--output", "-o", help="The recording to write.")],
    days: Annotated[float, typer.Option("--days", help="How many days.", min=0.05, max=400)] = 40.0,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same samples.")] = 1,
    end: Annotated[
        str | None, typer.Option("--end", help="Where the samples end. [default: the last midnight UTC]")
    ] = None,
    scenario: Annotated[
        Path | None, typer.Option("--scenario", help="What goes wrong, from a file, instead of by chance.")
    ] = None,
    openmetrics: Annotated[
        bool, typer.Option("--openmetrics", help="OpenMetrics text, for promtool tsdb create-blocks-from.")
    ] = False,
) -> int:
    """Make a recording of plausible traffic for any definition, with incidents planted in it."""
    from slo.source.openmetrics import write_openmetrics
    from slo.source.recording import write
    from slo.source.simulation import simulate as make
    from slo.source.simulation.scenario import read_scenario

    _apart([output], paths if scenario is None else [*paths, scenario])
    specs = _load(paths)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end_ms = round(midnight.timestamp() * 1000) if end is None else _time(end, "--end")
    with _progress("simulating", 0):
        written = None if scenario is None else read_scenario(scenario, specs)
        samples, header = make(specs, days=days, seed=seed, end_ms=end_ms, scenario=written)
        if openmetrics:
            write_openmetrics(output, samples)
        else:
            write(output, samples, header)
    count = sum(len(series.times) for series in samples.series)
    print(f"{output}: {_count(len(samples.series), 'series', 'series')}, {_count(count, 'sample')}, seed {seed}")
    return FINE


@app.command(epilog="Example: slo backtest definitions/ --source recording.parquet --policy policies/calm.yaml -o out")
def backtest(
    source: SourceName,
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH…", help="Definition files, or folders of them.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            help="2026-11-01T00:00:00Z, Unix seconds, or a duration before the end such as 30d. "
            "[default: all of a recording, 30d of a server]",
        ),
    ] = None,
    end: End = None,
    policy: Annotated[
        list[Path] | None, typer.Option("--policy", help="A policy file: changes to the definitions; may be repeated.")
    ] = None,
    rules_file: Annotated[
        list[Path] | None, typer.Option("--rules", help="Any Prometheus rules file; may be repeated.")
    ] = None,
    incidents: Annotated[
        str | None,
        typer.Option(
            "--incidents",
            help="A YAML or CSV file, `planted` (by the simulation) or `found` (in the SLI). "
            "[default: planted where there are some, else found]",
        ),
    ] = None,
    burn_rate: Annotated[
        float, typer.Option("--burn-rate", help="From which burn rate on an incident is found.", min=1.0)
    ] = 2.0,
    pages: Annotated[
        list[str] | None,
        typer.Option(
            "--pages",
            help="A label of alerts in rules files that wake somebody, such as severity=pageteam; may be repeated.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A folder for backtest.html and backtest.json.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """What alerts would have done on history: incidents caught, how late, pages a week."""
    from slo.backtest import run
    from slo.backtest.export import as_data
    from slo.files import write_text
    from slo.report.backtests import render_backtest
    from slo.spec.model import Specs

    specs = _load(paths) if paths else Specs([])
    origin = _open(source, config)
    end_ms = origin.latest_ms() if end is None else _time(end, "--end")
    with _progress("running the rules over history", 0):
        result = run(
            specs,
            origin,
            policies=policy or (),
            rules=rules_file or (),
            start=None if start is None else _start(start, end_ms),
            end=end_ms,
            incidents=incidents,
            burn_rate=burn_rate,
            pages=[_pair(text, "--pages") for text in pages or ()],
        )
    if output is not None:
        page = render_backtest(result, title="Backtest of alerts", generated=datetime.now(UTC))
        write_text(output / "backtest.html", page)
        write_text(output / "backtest.json", json.dumps(as_data(result), indent=1, ensure_ascii=False) + "\n")
        _say(f"{output / 'backtest.html'}, {output / 'backtest.json'}")
    if as_json:
        _print_json(as_data(result))
    else:
        _backtest_table(result)
    return FINE


@app.command(epilog="Example: slo weekly reports/weekly.yaml")
def weekly(
    path: Annotated[Path, typer.Argument(metavar="CONFIG", help="The job's configuration.")],
    now: Annotated[
        str | None, typer.Option("--now", help="The moment of the run: 2026-11-20T12:00:00Z. [default: now]")
    ] = None,
) -> int:
    """Report on the last whole week, month or quarter, once; make up for missed ones; deliver."""
    from slo.weekly import read_config, run

    def log(event: str, fields: Mapping[str, Any]) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        _say(json.dumps({"time": at, "event": event, **fields}, ensure_ascii=False))

    now_ms = round(datetime.now(UTC).timestamp() * 1000) if now is None else _time(now, "--now")
    return run(read_config(path), now_ms, log)


class SchemaOf(StrEnum):
    """What has a JSON Schema."""

    DEFINITIONS = "definitions"
    REPORT = "report"


@app.command(epilog="Example: slo schema > slo.schema.json")
def schema(
    of: Annotated[
        SchemaOf, typer.Argument(metavar="[definitions|report]", help="Of definition files, or of the JSON of figures.")
    ] = SchemaOf.DEFINITIONS,
) -> int:
    """Print a JSON Schema: of definitions, for completion in editors, or of `status --json` and report.json."""
    from slo.budget.schema import report_schema
    from slo.spec.document import json_schema

    _print_json(json_schema() if of is SchemaOf.DEFINITIONS else report_schema())
    return FINE


def _load(paths: Sequence[Path]) -> Specs:
    from slo.spec.load import load

    specs = load(paths)
    for warning in specs.warnings:
        _say(str(warning))
    return specs


def _open(source: str, config: Path | None) -> Source:
    from slo.source import open as open_source

    return open_source(source, config=None if config is None else str(config))


def _evaluate(specs: Specs, source: Source, end: str | None) -> list[Budget]:
    from slo.budget.evaluate import evaluate_all

    end_ms = source.latest_ms() if end is None else _time(end, "--end")
    with _progress("evaluating", len(specs)) as advance:
        return evaluate_all(specs.values(), source, end_ms, advance)


def _verdict(budgets: Sequence[Budget], gate: bool) -> int:
    from slo.budget.model import State

    # A gate that figures nobody can believe would open is no gate.
    failed = {
        state: [budget.slo.id for budget in budgets if budget.state is state]
        for state in (State.EXHAUSTED, State.INVALID)
    }
    if not gate or not any(failed.values()):
        return FINE
    for state, names in failed.items():
        if names:
            _say(f"{state.value}: {', '.join(names)}")
    return OUT_OF_BUDGET


def _table(budgets: Sequence[Budget]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from slo.budget.model import TROUBLE
    from slo.budget.notes import said_once
    from slo.display import show_percent, show_rate, show_share

    styles = {
        "exhausted": "bold red",
        "burning": "bold yellow",
        "invalid": "bold magenta",
        "at risk": "yellow",
        "healthy": "green",
        "no data": "magenta",
    }
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("SLO", overflow="fold", min_width=20)
    for column in ("objective", "window", "SLI", "budget left", "1h burn", "6h burn", "3d burn"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("coverage", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    worst = sorted(budgets, key=lambda b: (TROUBLE[b.state], b.remaining if b.remaining is not None else 0.0))
    for budget in worst:
        rates = [show_rate(budget.burn_rate(window)) for window in ("1h", "6h", "3d")]
        state = Text(budget.state.value, style=styles[budget.state.value])
        table.add_row(
            Text(budget.slo.id), str(budget.slo.objective), str(budget.slo.window), show_percent(budget.sli, 3),
            show_percent(budget.remaining), *rates, show_share(budget.coverage), state,
        )  # fmt: skip
    # A pipe has no width: a table cut to a guess would lose figures.
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    for said in said_once(worst):
        console.print(Text(str(said)), soft_wrap=True, style="dim")


def _backtest_table(result: Backtest) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from slo.backtest.export import verdict
    from slo.report.backtests import SCORE_COLUMNS, missed, score_row

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("SLO", overflow="fold", min_width=20)
    several = len(result.policies) > 1
    for column in SCORE_COLUMNS[0 if several else 1 :]:
        table.add_column(column, justify="left" if column == "policy" else "right", no_wrap=True)
    names = list(result.policies[0].outcomes)
    for number, name in enumerate([*names, None]):
        for played in result.policies:
            score = played.score if name is None else played.outcomes[name].score
            row = score_row(played.name, score)[0 if several else 1 :]
            table.add_row(Text("all" if name is None else name or "alerts"), *map(Text, row))
        if several and number < len(names):
            table.add_section()
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    for line in missed(result):
        console.print(Text(line), soft_wrap=True, style="dim")
    console.print(Text(verdict(result)), soft_wrap=True)
    for played in result.policies:
        for problem in played.problems:
            _say(f"{played.name}: {problem}")


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error while something takes long, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total or None)
        yield lambda: progress.advance(task)


def _time(text: str, flag: str) -> int:
    """A moment in milliseconds; text without a time zone is UTC."""
    from slo.errors import DurationError
    from slo.window import parse_moment

    try:
        return parse_moment(text)
    except DurationError as error:
        raise ConfigError(f"{flag} {error}") from None


def _start(text: str, end_ms: int) -> int:
    from slo.errors import DurationError
    from slo.window import parse_duration

    try:
        return end_ms - parse_duration(text)
    except DurationError:
        return _time(text, "--start")


def _apart(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Refuses to write one file over another, and over what is read. Raises ConfigError."""
    read: dict[str, Path] = {}
    written: set[str] = set()
    for place in inputs:
        files = place.rglob("*.y*ml") if place.is_dir() else [place]
        read |= {os.path.realpath(file): file for file in files}
    for output in outputs:
        real = os.path.realpath(output)
        if real in read and not real.startswith("/dev/"):
            why = "would be written twice" if real in written else "is read by this command, and would be lost"
            raise ConfigError(f"{output} {why}; name another file")
        read[real] = output
        written.add(real)


def _pair(text: str, flag: str = "--label") -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"{flag} {text!r} is no name=value")
    return name, value


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _doubts(problems: Sequence[object]) -> str:
    return f", with {_count(len(problems), 'warning')}" if problems else ""


def _print_json(data: object) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def _complain(error: SloError) -> None:
    if isinstance(error, DefinitionError):
        for problem in error.problems:
            _say(str(problem))
        count = sum(problem.severity == "error" for problem in error.problems)
        _say(f"{_count(count, 'error')}; nothing was written")
    else:
        _say(f"error: {error}")


def _say(text: str) -> None:
    """One message on standard error, without any secret. Text that its encoding cannot hold is escaped."""
    print(hide_secrets(text, os.environ), file=sys.stderr)
