"""What a person gets wrong with presets is said with its place, and parameters cannot break out of their place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import slo as package
from slo.errors import DefinitionError
from slo.promql.ast import Matcher
from slo.sli.ratio import Ratio
from slo.spec import presets
from slo.spec.document import json_schema
from slo.spec.load import load, load_text
from slo.spec.model import Slo
from tests.shell import run as slo

OWN = """\
title: Orders that reach the warehouse
exporter: the order service
source: 'orders repository, docs/metrics.md'
parameters:
  region:
    description: one region
    example: eu
slo:
  name: orders
  objective: 99.9
  description: Orders that arrive
  sli:
    ratio:
      errors: 'orders_total{region="$region",state="lost"}'
      total: 'orders_total{region="$region"}'
"""


def read(entry: str) -> Slo:
    [spec] = load_text(f"service: shop\nslos:\n{entry}").values()
    return spec


def said(entry: str) -> str:
    with pytest.raises(DefinitionError) as caught:
        read(entry)
    return str(caught.value)


def test_an_entry_is_the_preset_with_what_it_says_itself() -> None:
    preset = read("  - preset: nginx-ingress/availability\n")
    own = read(
        "  - {preset: nginx-ingress/availability, name: web, objective: 99, owner: team-web, with: {ingress: shop}}\n"
    )
    assert (preset.id, str(preset.objective), preset.owner) == ("shop/availability", "99.9%", "")
    assert (own.id, str(own.objective), own.owner) == ("shop/web", "99%", "team-web")
    assert isinstance(preset.sli, Ratio) and isinstance(own.sli, Ratio)
    assert str(preset.sli.total) == "nginx_ingress_controller_requests"
    assert str(own.sli.total) == 'nginx_ingress_controller_requests{ingress="shop"}'


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("  - preset: nginx-ingress/availabilty\n", "<text>:3:5: error: slos[0].preset: no preset 'nginx-ingress/availabilty'; did you mean `nginx-ingress/availability`?"),
        ("  - preset: ../../etc/passwd\n", "no preset '../../etc/passwd'"),
        ("  - preset: {name: x}\n", "must be the name of a preset"),
        ("  - {preset: istio/latency, with: {service: a}}\n", "istio/latency needs the parameter `namespace`: its namespace, such as shop"),
        ("  - preset: istio/latency\n    with:\n      servce: a\n", "<text>:4:5: error: slos[0].with: istio/latency has no parameter `servce`; did you mean `service`?"),
        ("  - {preset: etcd/leader, with: [a]}\n", "must be a mapping of parameters"),
        ("  - {preset: etcd/leader, with: {filter: 'a=='}}\n", "`filter` 'a==' is not a list of matchers"),
        ("  - {preset: etcd/leader, sli: {probe: up}}\n", "the preset etcd/leader has the SLI"),
        ("  - {name: a, objective: 99, with: {a: b}, sli: {probe: up}}\n", "add `preset: …`"),
        ("  - {preset: grpc/availability, with: {codes: '('}}\n", "slos[0].sli.ratio.errors"),
        ("  - {presets: grpc/availability, objective: 99}\n", "unknown key `presets`; did you mean `preset`?"),
    ],
)  # fmt: skip
def test_a_fault_is_said_with_its_place(entry: str, message: str) -> None:
    assert message in said(entry)


def test_editors_know_presets() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(json_schema())
    assert check.is_valid({"service": "a", "slos": [{"preset": "etcd/leader", "with": {"filter": 'a="b"'}}]})
    assert not check.is_valid({"service": "a", "slos": [{"with": {}}]})
    assert not check.is_valid({"service": "a", "slos": [{"preset": ["etcd/leader"]}]})


def test_a_faulty_preset_does_not_hide_other_faults() -> None:
    message = said("  - preset: none/such\n  - {name: b, objective: 101, sli: {probe: up}}\n")
    assert "no preset 'none/such'" in message
    assert "objective 101 is above 100" in message


@given(st.text(max_size=20).filter(lambda text: "\0" not in text and text.strip() and text.isprintable()))
def test_a_value_stays_one_value_whatever_it_holds(value: str) -> None:
    sli = presets.load("nginx-ingress/availability").entry({"ingress": value})[0]["sli"]["ratio"]
    read_specs = read(
        f"  - {{name: a, objective: 99, sli: {{ratio: {{errors: {_yaml(sli['errors'])}, total: {_yaml(sli['total'])}}}}}}}\n"
    )
    assert isinstance(read_specs.sli, Ratio)
    assert read_specs.sli.total.matchers == (Matcher("ingress", "=", value),)


def _yaml(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def folder(tmp_path: Path, text: str = OWN, name: str = "shop/orders") -> Path:
    path = tmp_path / "presets" / f"{name}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return tmp_path / "presets"


def test_a_team_has_presets_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = folder(tmp_path)
    entry = "  - {preset: shop/orders, with: {region: eu}}\n"
    assert "no preset 'shop/orders'" in said(entry)
    with presets.folders_added([own]):
        assert read(entry).id == "shop/orders"
        assert "shop/orders" in presets.names()
    assert list(package.load(f"service: shop\nslos:\n{entry}", presets=[own])) == ["shop/orders"]
    monkeypatch.setenv("SLO_PRESETS", str(own))
    assert read(entry).id == "shop/orders"


def test_presets_below_a_folder_of_definitions_are_passed_over(tmp_path: Path) -> None:
    own = folder(tmp_path)
    (tmp_path / "shop.yaml").write_text("service: shop\nslos:\n  - preset: shop/orders\n")
    with presets.folders_added([own]):
        specs = load(tmp_path)
    assert (list(specs), specs.warnings) == (["shop/orders"], ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            OWN.replace('"$region",', '"$area",'),
            "orders.yaml:14:7: error: slo.sli.ratio.errors: the parameter $area is not under `parameters`",
        ),
        (OWN.replace('state="lost"}', "state=lost"), "orders.yaml:14:7: error: slo.sli.ratio.errors"),
        (OWN.replace("  objective: 99.9\n", ""), "`objective` is missing"),
        (OWN.replace("source:", "sauce:"), "unknown key `sauce`; did you mean `source`?"),
        (OWN.replace("  region:", "  filter:").replace("$region", "$filter"), "every preset has `filter`"),
        (re.sub("errors: .*", "errors: $window", OWN), "slo.sli.ratio.errors: `$window` is no parameter; it stands in"),
        (OWN.replace("ratio:", "ratio: x\n    y:"), "must be one kind of SLI in its long form"),
    ],
)
def test_a_fault_of_a_file_is_said_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    with presets.folders_added([folder(tmp_path, text)]):
        assert message in said("  - preset: shop/orders\n")


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    with presets.folders_added([folder(tmp_path, name="etcd/leader")]):
        assert "the preset etcd/leader is in" in said("  - preset: etcd/leader\n")


def test_the_commands_know_presets(tmp_path: Path) -> None:
    own = folder(tmp_path)
    done = slo("explain", "shop/orders", "--presets", own)
    assert (done.returncode, "region: one region (such as eu)" in done.stdout) == (0, True)
    done = slo(f"--presets={own}", "explain", "presets")
    assert "shop/orders" in done.stdout and "grpc/availability" in done.stdout
    assert slo("init", "preset/istio/latency", "-o", tmp_path / "d.yaml").returncode == 0
    assert slo("check", tmp_path / "d.yaml").returncode == 0
    assert "did you mean `grpc/latency`?" in slo("explain", "grpc/latncy").stderr
    assert "needs a folder" in slo("explain", "presets", "--presets").stderr
    assert "is not a folder of presets" in slo("check", tmp_path / "d.yaml", "--presets", tmp_path / "no").stderr
