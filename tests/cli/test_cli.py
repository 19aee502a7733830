"""The command line as a shell sees it: exit codes, messages, nothing partial on disk."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from slo.display import show_percent
from tests.servers import promtool
from tests.shell import run as slo

ROOT = Path(__file__).parent.parent.parent
GOOD = """\
service: shop
slos:
  - name: errors
    objective: 99
    sli: {ratio: {errors: 'r_total{code=~"5.."}', total: r_total}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A definition, and two days of a recording for it."""
    place = tmp_path_factory.mktemp("shop")
    (place / "shop.yaml").write_text(GOOD)
    done = slo(
        "simulate",
        place / "shop.yaml",
        "--days",
        "2",
        "--seed",
        "3",
        "--end",
        "2026-11-20T00:00:00Z",
        "-o",
        place / "r.parquet",
    )
    assert done.returncode == 0, done.stderr
    return place


COMMANDS = [
    "init", "import", "explain", "check", "rules", "backfill", "status", "report", "record", "simulate", "backtest", "weekly", "ledger", "dashboard", "export", "schema",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    done = slo(command, "--help")
    assert done.returncode == 0
    assert f"Example: slo {command}" in " ".join(done.stdout.split())


def test_every_command_has_a_page_in_the_docs() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    for command in COMMANDS:
        assert f"## slo {command}" in page


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "nowhere"),
        ("check",),
        ("rules", "nowhere", "-o", "out.yml"),
        ("status", "shop.yaml", "--source", "nowhere.parquet"),
        ("status", "shop.yaml", "--source", "shop.yaml"),
        ("status", "shop.yaml", "--source", "http://127.0.0.1:9"),
        ("status", "shop.yaml", "--source", "r.parquet", "--end", "yesterday"),
        ("report", "shop.yaml", "--source", "http://127.0.0.1:9", "-o", "out"),
        ("report", "shop.yaml", "--source", "r.parquet", "-o", "shop.yaml/out"),
        ("record", "shop.yaml", "--source", "http://127.0.0.1:9", "--start", "1h", "--end", "1790000000", "-o", "out"),
        ("simulate", "shop.yaml", "--days", "many", "-o", "out"),
        ("simulate", "nowhere", "-o", "out"),
        ("backtest", "-s", "r.parquet"),
        ("backtest", "nowhere", "-s", "r.parquet"),
        ("backtest", "shop.yaml", "-s", "r.parquet", "--policy", "shop.yaml", "-o", "out"),
        ("backtest", "shop.yaml", "-s", "r.parquet", "--rules", "shop.yaml", "-o", "out"),
        ("backtest", "shop.yaml", "-s", "r.parquet", "--incidents", "shop.yaml"),
        ("backtest", "shop.yaml", "-s", "r.parquet", "--start", "2030-01-01", "-o", "out"),
        ("rules", "shop.yaml", "--tests", "t.yml"),
        ("rules", "shop.yaml", "--format", "operator", "--label", "x"),
        ("rules", "shop.yaml", "--format", "word", "-o", "out"),
        ("init", "ratios"),
        ("init", "-o", "shop.yaml"),
        ("init", "-s", "nowhere.parquet"),
        ("explain", "ratios"),
        ("explain", "shop.yaml", "--slo", "nothing"),
        ("status", "shop.yaml", "-s", "r.parquet", "--service", "shp"),
        ("status", "shop.yaml", "-s", "r.parquet", "--state", "fine"),
        ("status", "shop.yaml", "-s", "r.parquet", "--label", "tier"),
        ("nonsense",),
        ("status", "shop.yaml", "--no-such-flag"),
    ],
    ids=" ".join,
)
def test_bad_input_is_a_message_and_exit_code_2(folder: Path, arguments: tuple[str, ...]) -> None:
    before = sorted(folder.rglob("*"))
    done = slo(*arguments, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(folder.rglob("*")) == before


def test_check_names_every_fault(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(GOOD.replace("objective: 99", "objectiv: 101"))
    done = slo("check", tmp_path)
    assert done.returncode == 2
    assert "bad.yaml:4:5: error: slos[0].objectiv: unknown key `objectiv`; did you mean `objective`?" in done.stderr
    reported = json.loads(slo("check", tmp_path, "--json").stdout)
    assert {problem["line"] for problem in reported} == {3, 4}


def test_bad_definitions_leave_the_former_rules(folder: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    assert slo("rules", folder / "shop.yaml", "-o", rules).returncode == 0
    before = rules.read_bytes()
    (tmp_path / "bad.yaml").write_text("service: [")
    assert slo("rules", folder / "shop.yaml", tmp_path / "bad.yaml", "-o", rules).returncode == 2
    assert rules.read_bytes() == before


def test_rules_are_the_same_bytes_each_time_and_on_standard_output(folder: Path, tmp_path: Path) -> None:
    slo("rules", "shop.yaml", "-o", tmp_path / "a.yml", cwd=folder)
    assert slo("rules", "shop.yaml", cwd=folder).stdout == (tmp_path / "a.yml").read_text()


@pytest.mark.server
@pytest.mark.parametrize("version", ["promtool", "promtool2"])
def test_promtool_finds_no_fault_with_the_rules_of_all_definitions(tmp_path: Path, version: str) -> None:
    assert slo("rules", ROOT / "definitions", "-o", tmp_path / "rules.yml").returncode == 0
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", tmp_path / "rules.yml", name=version)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.server
@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "definitions").glob("*.yaml")))
def test_the_rules_of_a_definition_pass_their_own_tests(tmp_path: Path, name: str) -> None:
    if not os.environ.get("SLO_SLOW"):
        pytest.skip("slow: promtool takes up to half a minute for a definition; make slow runs it")
    done = slo(
        "rules", ROOT / "definitions" / name, "-o", tmp_path / "rules.yml", "--tests", tmp_path / "t" / "test.yml"
    )
    assert done.returncode == 0, done.stderr
    written = sorted((tmp_path / "t").iterdir())
    assert tmp_path / "t" / "test.yml" in written
    proved = promtool("test", "rules", *written, timeout=900)
    assert proved.returncode == 0, proved.stdout + proved.stderr


def test_one_file_a_service_holds_all_rules(tmp_path: Path) -> None:
    slo("rules", ROOT / "definitions", "-o", tmp_path / "all.yml")
    slo("rules", ROOT / "definitions", "-o", tmp_path / "each", "--split")
    whole = (tmp_path / "all.yml").read_text()
    files = sorted((tmp_path / "each").iterdir())
    assert {"faciliauto.yml", "hitl-api.yml", "prometheus.yml"} <= {file.name for file in files}
    assert sum(file.read_text().count("\n- name: ") for file in files) == whole.count("\n- name: ") > 0


def test_a_resource_of_the_operator_has_its_names(tmp_path: Path) -> None:
    done = slo(
        "rules",
        ROOT / "definitions" / "hitl-api.yaml",
        "--format",
        "operator",
        "--namespace",
        "mon",
        "--label",
        "release=prom",
    )
    resource = yaml.safe_load(done.stdout)
    assert resource["kind"] == "PrometheusRule"
    assert resource["metadata"] == {"name": "hitl-api", "namespace": "mon", "labels": {"release": "prom"}}
    assert resource["spec"]["groups"]


def test_sloths_names_on_request() -> None:
    text = slo("rules", ROOT / "definitions" / "hitl-api.yaml", "--names", "sloth").stdout
    for name in ("slo:sli_error:ratio_rate5m", "slo:period_error_budget_remaining:ratio", "sloth_slo_info", "sloth_id"):
        assert name in text


def test_all_formats_of_the_report_hold_the_same_figures(folder: Path, tmp_path: Path) -> None:
    formats = [word for name in ("html", "markdown", "json", "csv") for word in ("--format", name)]
    slo("report", "shop.yaml", "--source", "r.parquet", "-o", tmp_path, *formats, cwd=folder)
    reported = json.loads((tmp_path / "report.json").read_text())["slos"][0]
    status = json.loads(slo("status", "shop.yaml", "--source", "r.parquet", "--json", cwd=folder).stdout)["slos"][0]
    asked_alongside = ("earlier", "previous", "remaining_change")  # the report alone looks back
    assert {**reported, **dict.fromkeys(asked_alongside)} == status
    [row] = csv.DictReader((tmp_path / "report.csv").open())
    assert float(row["errors"]) == reported["events"]["errors"]
    shown = f"{reported['events']['errors']:,.0f}"
    assert shown in (tmp_path / "index.html").read_text()
    left = show_percent(reported["error_budget"]["remaining"])
    for file in ("index.html", "report.md"):
        assert left in (tmp_path / file).read_text()


def test_status_as_a_table_and_as_json_agree(folder: Path) -> None:
    table = slo("status", "shop.yaml", "--source", "r.parquet", cwd=folder)
    reported = json.loads(slo("status", "shop.yaml", "--source", "r.parquet", "--json", cwd=folder).stdout)
    [row] = reported["slos"]
    assert row["slo"] == "shop/errors"
    assert row["state"] in table.stdout
    assert "99%" in table.stdout
    assert row["end"] == "2026-11-20T00:00:00Z"


def test_the_gate_fails_only_on_an_exhausted_budget(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "strict.yaml").write_text(GOOD.replace("99\n", "99.999999\n"))
    (tmp_path / "mild.yaml").write_text(GOOD.replace("99\n", "1\n"))
    for name, code in (("strict", 1), ("mild", 0)):
        done = slo("status", tmp_path / f"{name}.yaml", "--source", folder / "r.parquet", "--fail-on-exhausted")
        assert done.returncode == code, done.stdout
    assert slo("status", tmp_path / "strict.yaml", "--source", folder / "r.parquet").returncode == 0


def test_report_writes_one_file_and_names_it(folder: Path, tmp_path: Path) -> None:
    done = slo("report", "shop.yaml", "--source", "r.parquet", "-o", tmp_path / "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "out" / "index.html")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["index.html"]


def test_a_recording_of_a_recording_holds_the_same(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.parquet"
    done = slo("record", "shop.yaml", "--source", "r.parquet", "--start", "2d", "-o", copy, cwd=folder)
    assert done.returncode == 0, done.stderr
    reported = [
        json.loads(slo("status", "shop.yaml", "-s", source, "--json", cwd=folder).stdout)
        for source in ("r.parquet", copy)
    ]
    for row in reported:
        row["slos"][0].pop("source")
    assert reported[0] == reported[1]


def test_simulation_is_the_same_for_the_same_seed(folder: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "3"), ("b", "4")):
        slo(
            "simulate",
            folder / "shop.yaml",
            "--days",
            "2",
            "--seed",
            seed,
            "--end",
            "2026-11-20T00:00:00Z",
            "-o",
            tmp_path / name,
        )
    assert (tmp_path / "a").read_bytes() == (folder / "r.parquet").read_bytes()
    assert (tmp_path / "b").read_bytes() != (folder / "r.parquet").read_bytes()


def test_importing_and_help_load_no_heavy_package() -> None:
    """`slo --help` and `import slo` stay under 0.3 s because of what they leave alone; the benchmark measures them."""
    program = "import sys, slo, slo.cli; slo.cli.app(['--help'], standalone_mode=False); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    for heavy in ("'numpy'", "'pandas'", "'pydantic'", "'matplotlib'", "'pyarrow'", "'jinja2'", "'yaml'"):
        assert heavy not in done.stderr
