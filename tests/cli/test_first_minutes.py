"""What somebody meets first: `slo init`, `slo explain`, folders that hold other things, standard input."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from slo.budget.codes import CODES
from slo.guide.explain import explain_kind, explain_slo
from slo.guide.kinds import KIND_GUIDES, definition_of
from slo.guide.propose import propose
from slo.promql.parse import parse
from slo.sli.kinds import KINDS
from slo.source.prometheus import PrometheusSource
from slo.source.recording import Recording
from slo.spec.load import load, loads
from tests.cli.test_cli import GOOD, ROOT
from tests.servers import Prometheus, wait_until
from tests.shell import run as slo


def test_every_kind_has_a_definition_to_start_from_without_a_fault() -> None:
    assert set(KIND_GUIDES) == set(KINDS)
    for kind in KINDS:
        problems: list[object] = []
        [service] = loads(definition_of(kind, "shop"), "shop.yaml", problems)  # type: ignore[arg-type]
        assert problems == []
        assert kind in [spec.sli.key for spec in service.slos]


@pytest.mark.parametrize("kind", KINDS)
def test_init_writes_a_kind_that_check_and_explain_accept(tmp_path: Path, kind: str) -> None:
    made = slo("init", kind, "--service", "shop", "-o", tmp_path / "shop.yaml")
    assert made.returncode == 0, made.stderr
    assert "# " in (tmp_path / "shop.yaml").read_text()
    checked = slo("check", tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert slo("explain", tmp_path).stdout.count("Error budget:") == (2 if kind == "outage" else 1)


def test_init_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(GOOD)
    assert slo("init", "-o", tmp_path / "mine.yaml").returncode == 2
    assert (tmp_path / "mine.yaml").read_text() == GOOD


@pytest.mark.server
def test_init_proposes_slos_for_what_a_server_has(tmp_path: Path) -> None:
    """A Prometheus that scrapes itself has requests with a code, their durations, and `up`."""
    config = (
        "global: {scrape_interval: 1s}\nscrape_configs:\n- {job_name: prom, static_configs: [{targets: [$ADDRESS]}]}\n"
    )
    with Prometheus(tmp_path, config=config) as server:
        source = PrometheusSource.open(server.url)
        wait_until(lambda: source.query(parse("prometheus_http_requests_total"), source.latest_ms()).series, "a scrape")
        (tmp_path / "made.yaml").write_text(propose(source))
        status = slo("status", tmp_path / "made.yaml", "-s", server.address)
        with_kind = propose(source, kind="probe")
    specs = load(tmp_path / "made.yaml")
    by_kind = {spec.sli.key: spec for spec in specs.values()}
    assert {"ratio", "latency", "probe"} <= set(by_kind)
    assert {spec.service for spec in specs.values()} == {"prom"}
    assert any("prometheus_http_requests_total" in str(spec.sli.selectors()) for spec in specs.values())
    assert status.returncode == 0, status.stderr
    assert "healthy" in status.stdout
    assert "unmatched" not in status.stderr
    assert "bucket bound" not in status.stderr
    assert "ratio:" not in with_kind


def test_init_proposes_from_a_recording_and_says_where_nothing_fits(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(GOOD.replace("r_total", "http_requests_total"))
    slo("simulate", tmp_path / "shop.yaml", "--days", "0.1", "-o", tmp_path / "r.parquet")
    proposed = propose(Recording.open(tmp_path / "r.parquet"))
    problems: list[object] = []
    [service] = loads(proposed, "p.yaml", problems)  # type: ignore[arg-type]
    assert problems == []
    assert str(service.slos[0].sli.selectors()[0]).startswith("http_requests_total")
    none = slo("init", "latency", "-s", tmp_path / "r.parquet")
    assert none.returncode == 2
    assert "no metric looks like a latency" in none.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_explain_tells_a_kind_with_all_its_keys(kind: str) -> None:
    reported = slo("explain", kind).stdout
    assert reported == explain_kind(kind)
    for name, field in KINDS[kind].model.model_fields.items():
        assert f"\n  {field.alias or name}" in reported


def test_explain_says_the_budget_and_when_alerts_fire(tmp_path: Path) -> None:
    """99.9 % of 30 d is 43.2 min and 1 in 1,000; the page over 1 h needs 14.4 of that: 1.44 %, 51.84 s of outage."""
    text = """\
service: shop
owner: team-a
slos:
  - name: errors
    objective: 99.9
    owner: team-b
    sli: {ratio: {errors: 'r_total{code=~"5.."}', total: r_total}}
"""
    [service] = loads(text, "shop.yaml", [])
    reported = explain_slo(service.slos[0])
    assert "shop/errors  (shop.yaml:4)" in reported
    assert "Owner: team-b" in reported
    assert "requests, bad where they fail" in reported
    assert 'sum(rate(r_total{code=~"5.."}[5m])) / sum(rate(r_total[5m]))' in reported
    assert "Error budget: 0.1% of events: 1 of every 1,000 may be bad." in reported
    assert "43m 12s of full outage in 30d" in reported
    assert "of 1,000,000 events in 30d, 1,000 may be bad" in reported
    assert (
        "page   over 1h and 5m: burn rate above 14.4x, which is 1.44% bad; a full outage fires it after 51.8s"
        in reported
    )
    for selector in re.findall(r"slo:\S+\{.*?\}", reported):
        parse(selector)


def test_explain_counts_slices_where_slices_are_judged() -> None:
    text = "service: shop\nslos: [{name: m, objective: 99.5, sli: {threshold: up_bytes < 1GiB}}]\n"
    [service] = loads(text, "shop.yaml", [])
    # 30 d of slices of 30 s are 86,400, of which 0.5 % are 432.
    assert "432 of 86,400 (each 30s" in explain_slo(service.slos[0])
    assert "up_bytes" in explain_slo(service.slos[0])


def test_every_code_of_a_note_is_explained_and_documented() -> None:
    """The codes that the source gives to notes, those that `slo explain` knows, and those of docs/counting.md."""
    given: set[str] = set()
    constants: dict[str, str] = {}
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "slo").rglob("*.py"))]
    for tree in trees:
        for node in ast.walk(tree):
            match node:
                case ast.Assign(targets=[*names], value=value):
                    for target in names:
                        pairs = [(target, value)]
                        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                            pairs = list(zip(target.elts, value.elts, strict=False))
                        for pair, text in pairs:
                            if isinstance(pair, ast.Name) and isinstance(text, ast.Constant):
                                constants[pair.id] = str(text.value)
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Note" and node.args:
                first = node.args[0]
                given.add(str(first.value) if isinstance(first, ast.Constant) else constants[ast.unparse(first)])
    assert given == set(CODES)
    documented = (ROOT / "docs" / "counting.md").read_text()
    for code in CODES:
        assert f"`{code}`" in documented
        assert slo("explain", code).stdout.startswith(f"{code}: ")


FOREIGN = {
    "sloth.yaml": ("version: prometheus/v1\nservice: a\nslos: [{name: x, objective: 99}]\n", "a Sloth file"),
    "sloth-k8s.yaml": ("apiVersion: sloth.slok.dev/v1\nkind: PrometheusServiceLevel\nspec: {}\n", "a Sloth file"),
    "pyrra.yaml": ("apiVersion: pyrra.dev/v1alpha1\nkind: ServiceLevelObjective\nspec: {}\n", "a Pyrra file"),
    "openslo.yaml": ("apiVersion: openslo/v1\nkind: SLO\nspec: {}\n", "an OpenSLO file"),
    "generator.yaml": ("apiVersion: sre.google.com/v2\nkind: ServiceLevelObjective\n", "an slo-generator file"),
    "deploy.yml": ("apiVersion: apps/v1\nkind: Deployment\nspec: {}\n", "a Kubernetes resource (Deployment)"),
    "rules.yml": ("groups: [{name: a, rules: []}]\n", "a Prometheus rules file"),
    "prometheus.yml": ("global: {}\nscrape_configs: []\n", "a Prometheus configuration"),
    "alertmanager.yml": ("route: {receiver: a}\nreceivers: [{name: a}]\n", "an Alertmanager configuration"),
    "compose.yaml": ("services: {a: {image: b}}\n", "a Docker Compose file"),
    "ci.yml": ("on: push\njobs: {}\n", "a GitHub workflow"),
    "Chart.yaml": ("apiVersion: v2\nname: a\nversion: 1\n", "a Helm chart"),
    "weekly.yaml": ("definitions: [.]\nsource: x\n", "a configuration of `slo weekly`"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_of_another_tool_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    text, what = FOREIGN[name]
    (tmp_path / name).write_text(text)
    done = slo("check", tmp_path / name)
    assert done.returncode == 2
    assert f"this is {what}, not a definition" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    # In a folder with nothing else it is said what there is.
    folder = slo("check", tmp_path)
    assert folder.returncode == 2
    assert f"holds no definition; what it holds: {what}" in folder.stderr


def test_a_folder_of_all_sorts_is_read_for_its_definitions(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(GOOD)
    for name, (text, _) in FOREIGN.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "values.yaml").write_text("image: {tag: 1}\n")
    (tmp_path / "template.yaml").write_text("{{- if .Values.x }}\nkind: Service\n{{- end }}\n")
    (tmp_path / "several.yaml").write_text(f"{FOREIGN['deploy.yml'][0]}---\n{GOOD.replace('shop', 'till')}---\n")
    for hidden in (".github", ".git/hooks"):
        (tmp_path / hidden).mkdir(parents=True)
        (tmp_path / hidden / "bad.yaml").write_text("service: [")
    done = slo("check", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 SLOs in 2 files" in done.stdout
    # SLOs of other tools are named, so that nobody thinks they are evaluated; what has no SLO is not.
    for tool in ("Sloth", "Pyrra", "OpenSLO", "slo-generator"):
        assert f"{tool} file; it was skipped" in done.stderr
    assert "values.yaml:1:1: warning: skipped: not a definition" in done.stderr
    for silent in ("deploy.yml", "compose.yaml", "rules.yml", ".github", ".git", "template.yaml"):
        assert silent not in done.stderr


@pytest.mark.parametrize("misspelt", ["servce: a\nslo: []\n", "Service: a\nslos: []\n", "service: a\nobjectives: []\n"])
def test_a_misspelt_definition_in_a_folder_is_not_a_foreign_file(tmp_path: Path, misspelt: str) -> None:
    (tmp_path / "shop.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(misspelt)
    assert slo("check", tmp_path).returncode == 2


def test_a_definition_comes_from_standard_input(tmp_path: Path) -> None:
    for command in (["check", "-"], ["rules", "-"], ["explain", "-"]):
        done = subprocess.run(
            [sys.executable, "-m", "slo", *command], input=GOOD, capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "errors" in done.stdout or "1 SLO" in done.stdout
    bad = subprocess.run(
        [sys.executable, "-m", "slo", "check", "-"],
        input="service: [",
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert "<standard input>:" in bad.stderr


LONG_AND_SHORT = {
    "probe": ('probe_success{job="b"}', {"metric": 'probe_success{job="b"}'}),
    "latency": ("h_seconds", {"histogram": "h_seconds"}),
    "threshold": ("sum(rate(x_total[2m])) >= 1.5k", {"value": "sum(rate(x_total[2m]))", "at_least": "1.5k"}),
    "freshness": ("b_timestamp_seconds < 1h", {"metric": "b_timestamp_seconds", "max_age": "1h"}),
    "outage": ("base > 15m", {"of": "base", "longer_than": "15m"}),
}


@pytest.mark.parametrize("kind", LONG_AND_SHORT)
def test_a_short_form_is_its_long_one(kind: str) -> None:
    def read(sli: object) -> object:
        objective = "p95 < 500ms" if kind == "latency" else "99"
        slos = [
            {"name": "base", "objective": "99", "sli": {"probe": {"metric": "up"}}},
            {"name": "x", "objective": objective, "sli": {kind: sli}},
        ]
        problems: list[object] = []
        [service] = loads(yaml.safe_dump({"service": "s", "slos": slos}), "s.yaml", problems)  # type: ignore[arg-type]
        assert problems == []
        return service.slos[-1].sli

    short, long = LONG_AND_SHORT[kind]
    assert read(short) == read(long)


@pytest.mark.parametrize(
    ("text", "key", "bound"),
    [("m < 1GiB", "below", "1GiB"), ("m <= 70%", "at_most", "70%"), ("m > 5ms", "above", "5ms"), ("m>=1e3", "at_least", "1e3"),
     ("a > bool 1 < 2", "below", "2"), ("m ≥ 3", "at_least", "3")],
)  # fmt: skip
def test_a_short_threshold_splits_at_its_last_bound(text: str, key: str, bound: str) -> None:
    from slo.spec.short import expand

    data = {"slos": [{"sli": {"threshold": text}}]}
    assert expand(data)["slos"][0]["sli"]["threshold"][key] == bound
    assert data == {"slos": [{"sli": {"threshold": text}}]}, "the document itself stays"


def test_what_is_not_a_short_form_is_an_error_that_shows_one() -> None:
    problems: list[object] = []
    loads("service: s\nslos: [{name: x, objective: 99, sli: {threshold: up}}]\n", "s.yaml", problems)  # type: ignore[arg-type]
    assert "or in short, such as `threshold: process_resident_memory_bytes < 1GiB`" in str(problems[0])


def test_an_slo_has_an_owner_of_its_own_or_its_services() -> None:
    text = GOOD.replace("service: shop\n", "service: shop\nowner: team-a\n")
    own = text + "  - {name: b, objective: 99, owner: team-b, sli: {probe: up}}\n"
    [service] = loads(own, "s.yaml", [])
    assert [spec.owner for spec in service.slos] == ["team-a", "team-b"]
