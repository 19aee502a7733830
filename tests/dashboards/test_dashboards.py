"""Every panel's query gives series with our own rules; the dashboards are of the shape that Grafana reads."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slo.cli import run
from slo.dashboards.boards import DETAIL, OVERVIEW, Links, dashboards
from slo.promql.engine import Engine
from slo.promql.rules import run_rules
from slo.promql.samples import Samples
from slo.rules import compile_specs, to_yaml
from slo.source.openmetrics import write_openmetrics
from slo.spec.load import load, loads
from slo.spec.model import Specs
from tests.quick_yaml import read_yaml
from tests.servers import Prometheus, load_openmetrics

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ROOT / "reports" / "compose"
END = 1_790_000_000_000 // 3_600_000 * 3600
HOURS = 4
DEFINITION = """\
service: shop
owner: web
slos:
  - {name: bad, objective: 99.9, window: 1d, sli: {ratio: {errors: 'x_total{code="500"}', total: x_total}}}
  - {name: good, objective: 99, window: 1d, sli: {ratio: {errors: 'y_total{code="500"}', total: y_total}}}
  - {name: silent, objective: 99, window: 1d, sli: {probe: nothing}}
"""
CHOSEN = {"$service": "shop", "$owner": ".*", "$slo": "bad"}
BOARDS = dashboards()
QUERIES = [
    (uid, panel["title"], target["expr"], target["instant"])
    for uid, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel["targets"]
] + [(uid, "annotation", mark["expr"], False) for uid, board in BOARDS.items() for mark in board["annotations"]["list"]]


@pytest.fixture(scope="module")
def samples() -> Samples:
    """What our rules record of four hours: a tenth of x fails in the last, nothing of y."""
    times = range((END - HOURS * 3600) * 1000, END * 1000 + 1, 30_000)
    rows = []
    for name, code, steps in (
        ("x", "200", (100, 90)),
        ("x", "500", (0, 10)),
        ("y", "200", (100, 100)),
        ("y", "500", (0, 0)),
    ):
        values = itertools.accumulate(float(steps[at > (END - 3600) * 1000]) for at in times)
        rows.append(({"__name__": f"{name}_total", "job": "shop", "instance": "a", "code": code}, times, list(values)))
    groups, _ = compile_specs(Specs(loads(DEFINITION, "shop.yaml", [])))
    result = run_rules(read_yaml(to_yaml(groups))["groups"], Samples.from_series(rows), END - HOURS * 3600, END)
    assert not result.problems
    return result.recorded


@pytest.fixture(scope="module")
def recorded(samples: Samples) -> Engine:
    return Engine(samples)


@pytest.fixture(scope="module")
def server(samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has recorded the same."""
    place = tmp_path_factory.mktemp("dashboards")
    write_openmetrics(place / "recorded.txt", samples)
    with Prometheus(place, data=load_openmetrics(place / "recorded.txt", place / "data")) as server:
        yield server


def asked(engine: Engine, expr: str, now: bool) -> dict[tuple[str, str], float]:
    """The last value of each series, by service (or owner) and slo."""
    for name, value in CHOSEN.items():
        expr = expr.replace(name, value)
    assert "$" not in expr
    answer = engine.query(expr, END) if now else engine.query_range(expr, END - HOURS * 3600, END, 300)
    return {
        (series.labels.get("service", series.labels.get("owner", "")), series.labels.get("slo", str(index))): float(
            series.values[-1]
        )
        for index, series in enumerate(answer.series)
    }


@pytest.mark.parametrize(("uid", "title", "expr", "now"), QUERIES, ids=lambda value: str(value)[:30])
def test_every_query_gives_series(recorded: Engine, uid: str, title: str, expr: str, now: bool) -> None:
    assert asked(recorded, expr, now)


@pytest.mark.server
def test_every_query_gives_the_same_on_a_real_prometheus(server: Prometheus, recorded: Engine) -> None:
    for uid, title, expr, now in QUERIES:
        for name, value in CHOSEN.items():
            expr = expr.replace(name, value)
        if now:
            rows = server.query(expr, END)
            values = sorted(float(row["value"][1]) for row in rows)
        else:
            rows = server.query_range(expr, END - HOURS * 3600, END, 300)
            values = sorted(float(row["values"][-1][1]) for row in rows)
        assert values, (uid, title, expr)
        answer = recorded.query(expr, END) if now else recorded.query_range(expr, END - HOURS * 3600, END, 300)
        assert values == pytest.approx(sorted(float(series.values[-1]) for series in answer.series)), (uid, title, expr)


def shown(engine: Engine, uid: str, title: str, index: int = 0) -> dict[tuple[str, str], float]:
    [panel] = [panel for panel in BOARDS[uid]["panels"] if panel["title"] == title]
    target = panel["targets"][index]
    return asked(engine, target["expr"], target["instant"])


def test_the_overview_counts_what_was_planted(recorded: Engine) -> None:
    numbers = {
        title: list(shown(recorded, OVERVIEW, title).values())
        for title in ("SLOs", "Error budget exhausted", "With a firing alert", "Without data")
    }
    assert numbers == {"SLOs": [3], "Error budget exhausted": [1], "With a firing alert": [1], "Without data": [1]}
    worst = shown(recorded, OVERVIEW, "SLOs, worst first")
    assert list(worst) == [("shop", "bad"), ("shop", "good")]
    assert list(shown(recorded, OVERVIEW, "Lowest error budget by owner")) == [("web", "0")]


def test_the_detail_shows_the_planted_ratio(recorded: Engine) -> None:
    """A tenth of an hour's requests of four: 2.5 % of all, at 0.1 % of budget."""
    assert list(shown(recorded, DETAIL, "SLI over the window").values()) == [pytest.approx(0.975, abs=0.001)]
    assert list(shown(recorded, DETAIL, "Burn rate").values()) == [pytest.approx(100, rel=0.02)]
    assert list(shown(recorded, DETAIL, "Burn rate", 1).values()) == [pytest.approx(25, rel=0.02)]
    assert list(shown(recorded, DETAIL, "Objective").values()) == [0.999]


@pytest.mark.parametrize("uid", sorted(BOARDS))
def test_panels_have_numbers_and_places_of_their_own(uid: str) -> None:
    panels: list[dict[str, Any]] = BOARDS[uid]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"
        steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert steps[0] is None
        assert steps[1:] == sorted(steps[1:])


def test_the_dashboards_lead_to_the_report_and_to_runbooks() -> None:
    boards = dashboards(Links("https://slo.example.com/", "https://runbooks.example.com/${service}/${slo}"))
    links = {uid: {item["title"]: item["url"] for item in board["links"]} for uid, board in boards.items()}
    assert links == {
        OVERVIEW: {"Report": "https://slo.example.com/"},
        DETAIL: {
            "All SLOs": f"/d/{OVERVIEW}", "Runbook": "https://runbooks.example.com/${service}/${slo}", "Report": "https://slo.example.com/",
        },
    }  # fmt: skip
    text = json.dumps(boards[OVERVIEW])
    assert "https://runbooks.example.com/${__data.fields.service}/${__data.fields.slo}" in text
    assert run(["dashboard", "--report-url", "javascript:alert(1)", "-o", "nowhere"]) == 2
    for flag in ("--report-url", "--runbook-url"):
        assert run(["dashboard", flag, "https://ann:hunter2@slo.example.com/", "-o", "nowhere"]) == 2


def test_grafanas_own_schema_knows_all_of_it() -> None:
    models = pytest.importorskip(
        "grafana_foundation_sdk.models.dashboard", reason="grafana-foundation-sdk is not installed"
    )
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder")
    # What the schema leaves to a source of data: its annotations and lists of values.
    lost = {"definition", "titleFormat", "step"}
    for board in dashboards(Links("https://a.example.com/", "https://b.example.com/")).values():
        back = json.loads(encoder.JSONEncoder().encode(models.Dashboard.from_json(board)))
        assert missing(board, back) <= lost


def missing(data: Any, back: Any) -> set[str]:
    """The keys that did not come back, or came back otherwise."""
    if isinstance(data, dict):
        gone = {key for key in data if key not in back}
        return gone.union(*(missing(value, back[key]) for key, value in data.items() if key not in gone))
    if isinstance(data, list):
        return set().union(*(missing(ours, other) for ours, other in zip(data, back, strict=True)))
    return set() if data == back else {f"{data} became {back}"}


# As Grafana's documentation of provisioning has it.
PROVIDER = {
    "name": str, "orgId": int, "folder": str, "folderUid": str, "type": str, "disableDeletion": bool, "updateIntervalSeconds": int,
    "allowUiUpdates": bool, "options": dict,
}  # fmt: skip
DATASOURCE = {
    "name": str, "type": str, "access": str, "orgId": int, "uid": str, "url": str, "user": str, "database": str, "basicAuth": bool,
    "basicAuthUser": str, "withCredentials": bool, "isDefault": bool, "jsonData": dict, "secureJsonData": dict, "version": int, "editable": bool,
}  # fmt: skip


@pytest.mark.parametrize(
    ("file", "key", "known", "needed"),
    [("dashboards.yml", "providers", PROVIDER, {"name", "type", "options"}), ("datasource.yml", "datasources", DATASOURCE, {"name", "type"})],
)  # fmt: skip
def test_provisioning_files_are_of_grafanas_shape(
    file: str, key: str, known: dict[str, type], needed: set[str]
) -> None:
    data = read_yaml((COMPOSE / file).read_text())
    assert (data["apiVersion"], data.keys()) == (1, {"apiVersion", key})
    for entry in data[key]:
        assert needed <= entry.keys() <= known.keys()
        assert all(isinstance(value, known[name]) for name, value in entry.items())


def test_the_compose_stack_shows_the_dashboards_on_first_start(tmp_path: Path) -> None:
    """The commands of its setup make what Prometheus and Grafana read, from volumes that they share."""
    services = read_yaml((COMPOSE / "compose.yaml").read_text())["services"]
    [*_, script] = services["slo-setup"]["entrypoint"]
    commands = [line.split()[1:] for line in script.splitlines() if line.startswith("slo ")]
    places = {"/definitions": str(ROOT / "definitions"), "/generated": str(tmp_path)}
    for command in commands:
        words = [
            next((text.replace(a, b, 1) for a, b in places.items() if text.startswith(a)), text) for text in command
        ]
        assert run(words) == 0
    assert (tmp_path / "rules.yml").is_file()
    [provider] = read_yaml((COMPOSE / "dashboards.yml").read_text())["providers"]
    folder = provider["options"]["path"].replace("/generated", str(tmp_path))
    assert {path.name for path in Path(folder).glob("*.json")} == {f"{uid}.json" for uid in BOARDS}
    prometheus = read_yaml((COMPOSE / "prometheus.yml").read_text())
    assert prometheus["rule_files"] == ["/generated/rules.yml"]
    for name in ("prometheus", "grafana"):
        assert "generated:/generated:ro" in services[name]["volumes"]
        assert services[name]["depends_on"]["slo-setup"]["condition"] == "service_completed_successfully"
    # Prometheus scrapes itself, and there are definitions for that.
    scraped = {job["job_name"] for job in prometheus["scrape_configs"]}
    selectors = " ".join(
        str(s) for slo in load(ROOT / "definitions" / "prometheus.yaml").values() for s in slo.sli.selectors()
    )
    assert any(f'job="{job}"' in selectors for job in scraped)


def test_the_command_writes_files_and_a_config_map(tmp_path: Path) -> None:
    assert run(["dashboard", "-o", str(tmp_path / "files")]) == 0
    written = {path.name: path.read_text() for path in (tmp_path / "files").iterdir()}
    assert set(written) == {f"{OVERVIEW}.json", f"{DETAIL}.json", "provisioning.yaml"}
    assert json.loads(written[f"{DETAIL}.json"]) == BOARDS[DETAIL]
    assert read_yaml(written["provisioning.yaml"])["providers"][0]["type"] == "file"
    assert run(["dashboard", "--format", "configmap", "--namespace", "monitoring", "-o", str(tmp_path / "map")]) == 0
    [path] = (tmp_path / "map").iterdir()
    config = read_yaml(path.read_text())
    assert (config["kind"], config["metadata"]["labels"]) == ("ConfigMap", {"grafana_dashboard": "1"})
    assert {name: json.loads(text) for name, text in config["data"].items()} == {
        f"{uid}.json": board for uid, board in BOARDS.items()
    }
