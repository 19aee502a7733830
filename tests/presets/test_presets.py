"""What each preset's file says holds: it becomes an SLI, has a history, and a real Prometheus evaluates its rules as the engine does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from slo.budget.evaluate import evaluate
from slo.guide.presets import page_of, preset_text
from slo.promql.ast import VectorSelector, walk
from slo.promql.engine import Engine
from slo.promql.samples import Samples
from slo.rules import AlertRule, compile_specs, to_yaml
from slo.source.openmetrics import write_openmetrics
from slo.source.recording import Header, Recording, write
from slo.source.simulation import simulate
from slo.spec import presets
from slo.spec.load import load_text
from slo.spec.model import Specs
from slo.window import HOUR
from tests.presets import NAMES, specs_of, with_parameters
from tests.servers import Prometheus, load_openmetrics, promtool

ROOT = Path(__file__).parent.parent.parent
END_MS = 1_790_000_000_000 // HOUR * HOUR
# Their errors are of several metrics, for which there is no simulation; their history is planted below.
PLANTED = ["kubernetes-apiserver/read", "kubernetes-apiserver/write"]
SIMULATED = [name for name in NAMES if name not in PLANTED]


def test_there_are_presets_of_all_that_people_expect() -> None:
    groups = {name.partition("/")[0] for name in NAMES}
    assert groups >= {
        "coredns", "haproxy", "istio", "kubernetes-apiserver", "nginx-ingress", "prometheus", "traefik", "traefik-v1", "go-http-metrics", "grpc",
        "kubelet", "etcd", "blackbox", "kafka", "batch", "opentelemetry-http",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_becomes_an_slo_with_every_parameter(name: str) -> None:
    preset = presets.load(name)
    given = {key: parameter.default or parameter.example or "" for key, parameter in preset.model.parameters.items()}
    specs = load_text("service: shop\nslos:\n" + with_parameters(name, **given, filter='cluster="a",zone!="b"'))
    assert specs.warnings == ()
    [slo] = specs.values()
    selectors = [
        node for selector in slo.sli.selectors() for node in walk(selector) if isinstance(node, VectorSelector)
    ]
    assert all({"cluster", "zone"} <= {matcher.label for matcher in selector.matchers} for selector in selectors)
    assert "$" not in "".join(str(selector) for selector in selectors).replace("$window", "")
    assert preset.model.source
    assert slo.description


@pytest.mark.parametrize("name", NAMES)
def test_what_init_writes_of_a_preset_is_valid(name: str) -> None:
    text = preset_text(presets.load(name), "shop")
    assert list(load_text(text)) == [f"shop/{presets.load(name).model.slo['name']}"]
    everything = re.sub(r"^( +)# (?=with:|[a-z_]+: ')", r"\1", text, flags=re.M)
    assert everything != text
    assert list(load_text(everything)) == list(load_text(text))


def test_the_page_is_made_of_the_files() -> None:
    """`python -m tests.presets` writes it anew."""
    page = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
    assert page.endswith(page_of(map(presets.load, NAMES)))


@pytest.mark.server
def test_rules_of_all_presets_load(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(to_yaml(compile_specs(specs_of(NAMES))[0]), encoding="utf-8")
    done = promtool("check", "rules", tmp_path / "rules.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def counter(name: str, per_step: float, **labels: str) -> tuple[dict[str, str], object, object]:
    """Two hours of a counter that grows by so much each 30 s."""
    times = np.arange(END_MS - 2 * HOUR, END_MS + 1, 30_000)
    return {"__name__": name, "job": "apiserver", "instance": "a", **labels}, times, np.arange(len(times)) * per_step


def planted() -> Samples:
    """Of 200 reads each step 6 are slow, each in its own scope, and 4 fail; of 100 writes 3 are slow and 2 fail."""
    sli = "apiserver_request_sli_duration_seconds"
    rows = [
        counter("apiserver_request_total", 196, verb="GET", code="200"),
        counter("apiserver_request_total", 4, verb="LIST", code="500"),
        counter("apiserver_request_total", 98, verb="POST", code="201"),
        counter("apiserver_request_total", 2, verb="PUT", code="503"),
        counter(f"{sli}_count", 100, verb="POST", scope="resource"),
        counter(f"{sli}_bucket", 97, verb="POST", scope="resource", le="1.0"),
        counter(f"{sli}_bucket", 100, verb="POST", scope="resource", le="+Inf"),
    ]
    for scope, count, fast, bound in (
        ("resource", 100, 99, "1"),
        ("namespace", 60, 58, "5"),
        ("cluster", 40, 37, "30"),
    ):
        rows.append(counter(f"{sli}_count", count, verb="LIST", scope=scope))
        rows.append(counter(f"{sli}_bucket", fast, verb="LIST", scope=scope, le=bound))
        rows += [counter(f"{sli}_bucket", 0, verb="LIST", scope=scope, le="0.1")]
    return Samples.from_series(rows)


@pytest.mark.parametrize(("name", "ratio"), [("kubernetes-apiserver/read", 0.05), ("kubernetes-apiserver/write", 0.05)])
def test_the_api_counts_what_is_slow_and_what_fails(name: str, ratio: float, tmp_path: Path) -> None:
    write(tmp_path / "r.parquet", planted(), Header(END_MS - 2 * HOUR, END_MS, "a test"))
    [slo] = specs_of([name]).values()
    budget = evaluate(slo, Recording.open(tmp_path / "r.parquet"), END_MS)
    assert budget.error_ratio == pytest.approx(ratio, rel=1e-6)


@pytest.fixture(scope="module")
def history() -> tuple[Specs, Samples]:
    """Two hours of all presets, with incidents."""
    specs = specs_of(SIMULATED)
    samples, _ = simulate(specs, days=2 / 24, seed=3, end_ms=END_MS)
    return specs_of(NAMES), samples.concat(planted())


@pytest.fixture(scope="module")
def server(history: tuple[Specs, Samples], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    place = tmp_path_factory.mktemp("presets")
    write_openmetrics(place / "history.txt", history[1])
    with Prometheus(place, data=load_openmetrics(place / "history.txt", place / "data")) as server:
        yield server


@pytest.mark.server
def test_a_real_prometheus_evaluates_their_rules_as_the_engine_does(
    server: Prometheus, history: tuple[Specs, Samples]
) -> None:
    specs, samples = history
    engine = Engine(samples)
    at = END_MS / 1000 - 600
    compared, differ = set(), []
    for group in compile_specs(specs)[0]:
        for rule in group.rules:
            names = {node.name or "" for node in walk(rule.expr) if isinstance(node, VectorSelector)}
            if isinstance(rule, AlertRule) or any(name.startswith("slo:") for name in names):
                continue
            ours = {
                tuple(sorted(series.labels.items())): float(series.values[-1])
                for series in engine.query(rule.expr, at).series
            }
            theirs = {
                tuple(sorted(row["metric"].items())): float(row["value"][1]) for row in server.query(str(rule.expr), at)
            }
            if ours.keys() != theirs.keys() or ours != pytest.approx(theirs, rel=1e-9, nan_ok=True):
                differ.append(f"{group.slo}: {rule.name}: {ours} here, {theirs} there")
            if ours:
                compared.add(group.slo)
    assert differ == []
    assert len(compared) == len(NAMES)
