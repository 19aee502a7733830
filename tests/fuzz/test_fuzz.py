"""Every reader on texts near what is right: an answer, or an error of ours, within five seconds of work and two gigabytes."""

from __future__ import annotations

import io
import os
import random
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.main import get_command

from slo.backtest import of_rules
from slo.backtest.policy import of_file
from slo.cli import run
from slo.cli.program import app
from slo.convert.model import Options
from slo.convert.read import convert
from slo.convert.write import file_text
from slo.errors import Problem, SloError
from slo.promql import Engine, Samples
from slo.promql.parse import parse
from slo.rules import compile_specs, to_yaml
from slo.source.config import load as load_config
from slo.source.counted import CountSource
from slo.source.recording import Header, Recording, write
from slo.source.simulation.scenario import read_scenario
from slo.spec import presets
from slo.spec.events import read_events
from slo.spec.load import load, load_text, loads
from slo.weekly import read_config
from slo.weekly.state import JobState
from tests.fuzz import inputs
from tests.servers import promtool

INPUTS = int(os.environ.get("SLO_FUZZ", "100"))  # of each kind
SECONDS, MEMORY_KIB = 5, 2 << 20
END = 1_790_000_000
TIMES = np.arange((END - 3600) * 1000, END * 1000 + 1, 30_000)
SAMPLES = Samples.from_series(
    ({"__name__": name, "job": "j", "instance": str(n), "le": str(n)}, TIMES, np.arange(len(TIMES)) * (n + 1.0))
    for name in ("up", "a", "x_total", "d_bucket") for n in range(2)
)  # fmt: skip

fuzzed = settings(
    max_examples=INPUTS,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a mutation has no smaller one
    suppress_health_check=list(HealthCheck),
)
# A command, or a process that opens a file, takes ten times as long as a reader: of many inputs, a fifth as many.
slower = settings(fuzzed, max_examples=min(INPUTS, max(300, INPUTS // 5)))
# Bytes and no number: of numbers hypothesis draws small ones far more often, and the same ones in every run.
seeds = st.binary(min_size=16, max_size=16)


@contextmanager
def bounded() -> Iterator[None]:
    """Five seconds of work, and a minute in all on a busy machine; and what was raised is ours."""

    def late(*_: object) -> None:
        raise AssertionError(f"took longer than {SECONDS} s")

    before = [(number, signal.signal(number, late)) for number in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 12 * SECONDS)
    try:
        yield
    except SloError as error:
        assert str(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before:
            signal.signal(number, handler)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MEMORY_KIB


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def specs(path: Path) -> None:
    to_yaml(compile_specs(load([path]))[0])


def scenario(path: Path) -> None:
    (path.parent / "definition.yaml").write_text(inputs.DEFINITION)
    read_scenario(path, load([path.parent / "definition.yaml"]))


def foreign(path: Path) -> None:
    """A file of another tool, and what is written of it: a definition that is read, or a reason."""
    text = path.read_bytes().decode("utf-8", errors="replace")
    [result] = convert({path.name: text}, Options(values={"objective": 99, "shop": {"name": "web"}}))
    assert result.drafts or result.refusals
    problems: list[Problem] = []
    loads(file_text(result), "written.yaml", problems)
    assert not result.services or not [problem for problem in problems if problem.severity == "error"], problems


def counted(path: Path) -> None:
    CountSource.open(path).latest_ms()


def policy(path: Path) -> None:
    (path.parent / "definition.yaml").write_text(inputs.DEFINITION)
    of_file(path, load([path.parent / "definition.yaml"]))


def preset(path: Path) -> None:
    own = path.parent / "own" / "shop"
    own.mkdir(parents=True, exist_ok=True)
    (own / "orders.yaml").write_bytes(path.read_bytes())
    presets._read.cache_clear()
    with presets.folders_added([own.parent]):
        loaded_specs = load_text("service: shop\nslos:\n  - {preset: shop/orders, with: {service: x}}\n")
    to_yaml(compile_specs(loaded_specs)[0])


KINDS: dict[str, tuple[list[str], str, Callable[[Path], object]]] = {
    "definitions": (inputs.DEFINITIONS[:1], "f.yaml", specs),
    "definitions with presets": ([inputs.WITH_PRESETS], "f.yaml", specs),
    "presets": ([inputs.PRESET], "p.yaml", preset),
    "real definitions": (inputs.DEFINITIONS[1:3], "f.yaml", specs),
    "events": ([inputs.EVENTS], "f.yaml", read_events),
    "events as CSV": ([inputs.EVENTS_CSV], "f.csv", read_events),
    "weekly": ([inputs.WEEKLY], "w.yaml", read_config),
    "source": ([inputs.SOURCE], "s.yaml", lambda path: load_config(path, environ={})),
    "scenario": ([inputs.SCENARIO], "c.yaml", scenario),
    "policy": ([inputs.POLICY], "p.yaml", policy),
    "rules": ([inputs.RULES], "r.yml", of_rules),
    "definitions of other tools": (inputs.FOREIGN, "x.yaml", foreign),
    "charts": ([inputs.CHART], "x.yaml", foreign),
    "Terraform": ([inputs.TERRAFORM], "x.tf", foreign),
    "events per step": ([inputs.COUNTS], "e.csv", counted),
    "the job's state": ([inputs.STATE], "state.json", JobState.read),
}


@pytest.mark.parametrize("kind", KINDS)
@fuzzed
@given(seed=seeds)
def test_files(place: Path, kind: str, seed: bytes) -> None:
    rng = random.Random(seed)
    texts, name, read = KINDS[kind]
    path = place / name
    path.write_bytes(inputs.mutated(rng.choice(texts), rng).encode("utf-8", errors="surrogatepass"))
    with bounded():
        read(path)


@fuzzed
@given(seed=seeds)
def test_promql(seed: bytes) -> None:
    rng = random.Random(seed)
    text = inputs.mutated(rng.choice(inputs.EXPRESSIONS), rng)
    with bounded():
        node = parse(text)
        assert parse(str(node)) == node or "NaN" in str(node)
        Engine(SAMPLES).query(node, at=END)


@pytest.fixture(scope="module")
def shop(place: Path) -> Path:
    """A folder in which commands run: a definition, an hour of a recording, a job, known events."""
    folder = place / "shop"
    (folder / "folder").mkdir(parents=True)
    (folder / "shop.yaml").write_text(
        "service: shop\nslos:\n  - {name: errors, objective: 99, sli: {ratio: {errors: 'x_total{le=\"1\"}', total: x_total}}}\n"
    )
    (folder / "weekly.yaml").write_text("definitions: [shop.yaml]\nsource: r.parquet\ndeliver: {folder: out}\n")
    (folder / "events.yaml").write_text(inputs.EVENTS)
    (folder / "rules.yml").write_text(inputs.RULES)
    write(folder / "r.parquet", SAMPLES, Header(int(TIMES[0]), int(TIMES[-1]), "a test"))
    return folder


@pytest.fixture(scope="module")
def options() -> dict[str, list[str]]:
    """The options of each command that take a value, and those that take none."""
    main: Any = get_command(app)
    # Those of a group, as `slo ledger`, are those of all its commands.
    each = {name: getattr(command, "commands", {"": command}).values() for name, command in main.commands.items()}
    return {
        name: list(
            dict.fromkeys(
                param.opts[0] for command in own for param in command.params if param.param_type_name == "option"
            )
        )
        for name, own in each.items()
    }


@slower
@given(seed=seeds)
def test_command_lines(
    shop: Path,
    options: dict[str, list[str]],
    seed: bytes,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The exit code is one of those that are promised, and no secret is shown."""
    rng = random.Random(seed)
    arguments = list(rng.choice(inputs.COMMANDS))
    for _ in range(rng.choice([1, 1, 2, 3])):
        value = rng.choice(inputs.VALUES) if rng.random() < 0.8 else rng.choice(inputs.PIECES)
        option = rng.choice(options[arguments[0]] or ["--json"])
        at = rng.randrange(len(arguments))
        match rng.randrange(4):
            case 0 if at:  # another value where one is
                option, arguments[at:] = arguments[at - 1], [value, *arguments[at + 1 :]]
            case 1:
                option = ""
                arguments.append(value)
            case 2 if rng.random() < 0.2:
                arguments.append(option)
            case _:
                arguments += [option, value]
        if option in WRITTEN and (value in FILES or (value[:1] in ("/", "~", ".") and value != "/dev/null")):
            return  # that is allowed, and does harm here
    if {"/", "~", ".."} & set(arguments):
        return  # all YAML files of the machine are read, which takes what it takes
    monkeypatch.chdir(shop)
    monkeypatch.setenv("SLO_TIMEOUT", "10ms")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    for name in FILES:
        kept.setdefault(name, (shop / name).read_bytes())
    with bounded():
        code = run(arguments)
    said = capsys.readouterr()
    assert code in (0, 1, 2), (arguments, code, said.err)
    assert "T0KEN" not in said.err and "pa/ss" not in said.err, (arguments, said.err)
    assert code != 2 or (said.err + said.out).strip(), arguments  # with --json the faults are on standard output
    for name in FILES:
        assert name == "rules.yml" or (shop / name).read_bytes() == kept[name], (arguments, name)


@pytest.mark.skipif("SLO_SLOW" not in os.environ and INPUTS < 300, reason="slow; make fuzz and make slow run it")
@pytest.mark.parametrize("arguments", inputs.COMMANDS, ids=" ".join)
def test_every_option_with_every_odd_value(
    shop: Path,
    options: dict[str, list[str]],
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Drawn, a pair of both comes too seldom."""
    monkeypatch.chdir(shop)
    monkeypatch.setenv("SLO_TIMEOUT", "10ms")
    for option in options[arguments[0]]:
        for value in ODD:
            if option in WRITTEN:
                continue
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
            with bounded():
                code = run([*arguments, option, value])
            said = capsys.readouterr()
            assert code in (0, 1, 2), (arguments, option, value, said.err)


ODD = [
    "",
    "-1",
    "0",
    "nan",
    "1e400",
    "99999999999999999999",
    "\u00b2",
    "\uff19",
    "a b",
    "a\nb: c",
    "x" * 5000,
    "\udcff",
]
WRITTEN = {"--output", "-o", "--tests", "--backfill-script", "--split"}
FILES = ["shop.yaml", "weekly.yaml", "events.yaml", "rules.yml", "r.parquet"]
kept: dict[str, bytes] = {}


@pytest.fixture(scope="module")
def recording(place: Path) -> bytes:
    write(place / "whole", SAMPLES, Header(int(TIMES[0]), int(TIMES[-1]), "a test"))
    return (place / "whole").read_bytes()


@slower
@given(seed=seeds)
def test_recordings(place: Path, recording: bytes, seed: bytes) -> None:
    rng = random.Random(seed)
    data = bytearray(recording)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[at:] = b""
            case 1:
                data[at : at + rng.randrange(50)] = b""
            case _:
                data[at] ^= 1 << rng.randrange(8)
        if not data:
            break
    path = place / "damaged"
    path.unlink(missing_ok=True)  # another one may be mapped
    path.write_bytes(data)
    with bounded():
        Recording.open(path).all()


@pytest.mark.server
@settings(fuzzed, max_examples=max(10, INPUTS // 10))
@given(seed=seeds)
def test_what_is_accepted_promtool_accepts(place: Path, seed: bytes) -> None:
    rng = random.Random(seed)
    path = place / "d.yaml"
    path.write_bytes(inputs.mutated(inputs.DEFINITION, rng).encode("utf-8", errors="surrogatepass"))
    try:
        text = to_yaml(compile_specs(load([path]))[0])
    except SloError:
        return
    (place / "rules.yml").write_text(text)
    done = promtool("check", "rules", place / "rules.yml")
    assert done.returncode == 0, f"{path.read_text()}\n{done.stdout}{done.stderr}"
