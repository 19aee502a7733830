"""Some of the SLOs, a table that fits, help in plain words, completion."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from slo.budget.evaluate import evaluate_all
from slo.cli.status import folded, lines_of, table_of
from slo.errors import ConfigError
from slo.source.recording import Recording
from slo.spec.load import load, loads
from slo.spec.model import Specs
from slo.spec.select import Selection, select
from tests.cli.test_cli import COMMANDS, ROOT
from tests.shell import run as slo

TEXT = """\
service: {service}
owner: {owner}
slos:
  - {{name: errors, objective: 99, labels: {{tier: "{tier}"}}, sli: {{ratio: {{errors: 'r_total{{code=~"5.."}}', total: r_total}}}}}}
  - {{name: up, objective: 99.999999, owner: team-up, sli: {{probe: up}}}}
alerts: [{{name: A, expr: up == 0}}]
"""
SHOP = TEXT.format(service="shop", owner="team-shop", tier=1)
TILL = TEXT.format(service="till", owner="team-till", tier=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two services of two SLOs, and half a day of a recording."""
    place = tmp_path_factory.mktemp("two")
    (place / "d").mkdir()
    (place / "d" / "shop.yaml").write_text(SHOP)
    (place / "d" / "till.yaml").write_text(TILL)
    made = slo("simulate", place / "d", "--days", "0.5", "--end", "2026-11-20T00:00:00Z", "-o", place / "r.parquet")
    assert made.returncode == 0, made.stderr
    return place


CASES = {
    ("--service", "shop"): {"shop/errors", "shop/up"},
    ("--service", "sh*"): {"shop/errors", "shop/up"},
    ("--service", "shop", "--service", "till"): {"shop/errors", "shop/up", "till/errors", "till/up"},
    ("--slo", "errors"): {"shop/errors", "till/errors"},
    ("--slo", "till/up"): {"till/up"},
    ("--owner", "team-up"): {"shop/up", "till/up"},
    ("--owner", "team-up", "--service", "till"): {"till/up"},
    ("--label", "tier=2"): {"till/errors"},
}


@pytest.mark.parametrize("flags", CASES, ids=" ".join)
def test_filters_choose_slos_on_every_evaluating_command(folder: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    reported = json.loads(slo("status", "d", "-s", "r.parquet", "--json", *flags, cwd=folder).stdout)
    assert {one["slo"] for one in reported["slos"]} == CASES[flags]
    explained = slo("explain", "d", *flags, cwd=folder).stdout
    assert set(re.findall(r"^(\S+/\S+)  \(", explained, re.M)) == CASES[flags]


def test_report_record_and_backtest_take_the_same_filters(folder: Path, tmp_path: Path) -> None:
    assert (
        slo(
            "report", "d", "-s", "r.parquet", "-o", tmp_path, "--format", "json", "--slo", "till/up", cwd=folder
        ).returncode
        == 0
    )
    assert [one["slo"] for one in json.loads((tmp_path / "report.json").read_text())["slos"]] == ["till/up"]
    recorded = slo(
        "record", "d", "-s", "r.parquet", "--start", "1h", "-o", tmp_path / "o.parquet", "--slo", "up", cwd=folder
    )
    assert recorded.returncode == 0, recorded.stderr
    assert set(pd.read_parquet(tmp_path / "o.parquet")["name"]) == {"up"}
    backtest = slo("backtest", "d", "-s", "r.parquet", "--json", "--service", "till", cwd=folder)
    assert backtest.returncode == 0, backtest.stderr
    assert '"service": "shop"' not in backtest.stdout
    assert '"service": "till"' in backtest.stdout


def test_state_chooses_among_what_was_evaluated(folder: Path) -> None:
    every = json.loads(slo("status", "d", "-s", "r.parquet", "--json", cwd=folder).stdout)["slos"]
    states = {one["state"] for one in every}
    for state in states:
        flag = state.replace(" ", "-")
        reported = json.loads(slo("status", "d", "-s", "r.parquet", "--json", "--state", flag, cwd=folder).stdout)[
            "slos"
        ]
        assert [one["slo"] for one in reported] == [one["slo"] for one in every if one["state"] == state]


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(services=["shp"]), "no SLO has --service shp; did you mean `shop`?"),
        (Selection(slos=["error"]), "no SLO has --slo error; did you mean `errors`?"),
        (Selection(slos=["shop/error"]), "no SLO has --slo shop/error; did you mean `shop/errors`?"),
        (Selection(owners=["team-u"]), "no SLO has --owner team-u; did you mean `team-up`?"),
        (Selection(labels={"teir": "1"}), "no SLO has --label teir=1; did you mean `tier=1`?"),
        (Selection(services=["shop"], labels={"tier": "2"}), "no SLO has all of --service shop --label tier=2"),
    ],
    ids=str,
)
def test_a_filter_that_matches_nothing_says_what_there_is(selection: Selection, message: str) -> None:
    specs = Specs([*loads(SHOP, "s.yaml", []), *loads(TILL, "t.yaml", [])])
    with pytest.raises(ConfigError) as raised:
        select(specs, selection)
    assert str(raised.value) == message


def test_plain_alerts_stay_with_a_whole_service_only() -> None:
    specs = Specs([*loads(SHOP, "s.yaml", []), *loads(TILL, "t.yaml", [])])
    assert [len(one.alerts) for one in select(specs, Selection(services=["shop"])).services] == [1]
    assert [len(one.alerts) for one in select(specs, Selection(slos=["up"])).services] == [0, 0]
    assert select(specs, Selection()) is specs


def test_a_label_that_by_splits_can_be_chosen() -> None:
    text = "service: s\nslos: [{name: a, objective: 99, by: {route: [/x, /y]}, sli: {probe: up}}]\n"
    [service] = loads(text, "s.yaml", [])
    specs = Specs([service])
    assert list(select(specs, Selection(labels={"route": "/x"}))) == ["s/a.x"]
    assert list(select(specs, Selection(slos=["a"]))) == ["s/a.x", "s/a.y"]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_the_table_fits_and_keeps_what_matters(folder: Path, width: int) -> None:
    source = Recording.open(folder / "r.parquet")
    budgets = evaluate_all(load(folder / "d").values(), source, source.latest_ms())
    console = Console(width=width)
    with console.capture() as captured:
        console.print(table_of(budgets, width))
    lines = captured.get().splitlines()
    assert len(lines) == 1 + len(budgets), "no row is wrapped"
    assert max(map(len, lines)) <= width
    for column in ("SLO", "remaining", "state"):
        assert column in lines[0]
    assert ("coverage" in lines[0]) == (width > 100)
    assert all("…" not in line for line in lines)


def test_status_says_on_standard_error_only_what_needs_attention(folder: Path) -> None:
    done = slo("status", "d", "-s", "r.parquet", cwd=folder)
    every = json.loads(slo("status", "d", "-s", "r.parquet", "--json", cwd=folder).stdout)["slos"]
    codes = {note["code"] for one in every for note in one["notes"]}
    assert "fresh" in codes, "half a day of a window of 30 d"
    assert "data begins" in done.stdout + done.stderr
    # A selector that matches nothing is something to look at.
    (folder / "odd.yaml").write_text(SHOP.replace("5..", "9.."))
    odd = slo("status", "odd.yaml", "-s", "r.parquet", cwd=folder)
    assert "shop/errors: " in odd.stderr
    assert "matches no series" in odd.stderr
    assert "matches no series" not in odd.stdout


@pytest.mark.parametrize("command", ["status", "explain", "check", "schema"])
def test_a_reader_that_goes_away_is_not_exit_code_1(folder: Path, command: str) -> None:
    """As `slo status … | head -0` does: the pipe is closed before anything is written."""
    arguments = {"schema": [], "explain": ["d"], "check": ["d"], "status": ["d", "-s", "r.parquet"]}[command]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "slo", command, *arguments],
        stdout=write, stderr=subprocess.PIPE, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True, check=False,
    )  # fmt: skip
    os.close(write)
    assert done.returncode not in (1, 2, 120)
    assert done.stderr == ""


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_has_no_types_of_python_in_it(command: str | None) -> None:
    shown = slo(*filter(None, [command]), "--help").stdout
    assert "Options:" in shown
    assert not re.search(
        r"<\w+[ \[>]|\b(?:TEXT|INTEGER|FLOAT|PATH RANGE|RANGE|BOOLEAN)\b(?! +Page)", shown.replace("--title TEXT", "")
    ), shown
    assert "list[" not in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("colours", [True, False])
def test_a_table_of_lines_is_as_rich_draws_it(colours: bool) -> None:
    """Character by character, and in the same colours."""
    columns = {
        "SLO": ["shop/a-long-name", "shop/日本"],
        "remaining": ["−120%", "7%"],
        "state": ["exhausted", "at risk"],
    }
    needed = {"SLO": 18, "remaining": 11, "state": 11}
    drawn = []
    for make in (lines_of, folded):
        console = Console(width=60, force_terminal=colours, color_system="standard" if colours else None)
        with console.capture() as captured:
            console.print(make(columns, needed))
        # Each cell of a heading is bold by itself, or the line is.
        text = captured.get()
        drawn.append([text if "\x1b" not in text else re.sub(r"\x1b\[(0|1)m", "", line) for line in text.splitlines()])
        assert ("\x1b[1m" in text.splitlines()[0]) is colours
    assert drawn[0] == drawn[1]
    assert colours is any("\x1b[1;31m" in line for line in drawn[0])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands_and_options(shell: str) -> None:
    def complete(line: str) -> str:
        words = line.split(" ")
        environment = {
            "_SLO_COMPLETE": f"complete_{shell}", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1),
            "_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", "from slo.cli import main; main()"],
            capture_output=True, text=True, cwd=ROOT, env=os.environ | environment, check=False,
        )  # fmt: skip
        return done.stdout

    assert "status" in complete("slo st")
    assert "--service" in complete("slo status --s")


def test_the_examples_in_help_are_commands_that_exist() -> None:
    for command in COMMANDS:
        shown = " ".join(slo(command, "--help").stdout.partition("Example: ")[2].split())
        for example in shown.split("; "):
            assert example.split()[:2] == ["slo", command]
