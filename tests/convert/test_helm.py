"""Helm templates: rendered with a chart's values as far as definitions need it, refused by name beyond."""

from __future__ import annotations

import re
import resource
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from slo.cli import run
from slo.convert.helm import render, templates_in
from slo.convert.model import Options, Refused
from slo.convert.read import convert

VALUES: dict[str, Any] = {"cluster": {"name": "c1", "region": "eu", "off": False, "none": None}, "tier": "2"}
TEMPLATES = {"team": "web", "hours": '{{ if .Values.cluster.off }}"false"{{ else }}"true"{{ end }}'}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("a: {{ .Values.tier }}", "a: 2"),
        ("a: {{ $.Values.cluster.name | quote }}", 'a: "c1"'),
        ("a: {{`sum(x[{{.window}}])`}} b", "a: sum(x[{{.window}}]) b"),
        ('{{ printf "{{ .Labels.x }}" }}', "{{ .Labels.x }}"),
        ('{{ printf "%s-%v 100%%" .Values.tier "x" }}', "2-x 100%"),
        ("a\n  {{- if .Values.cluster.region }}\n  b\n  {{- end }}\nc", "a\n  b\nc"),
        ("a\n  {{- if .Values.cluster.zone }}\n  b\n  {{- end }}\nc", "a\nc"),
        ("{{ if .Values.cluster.off }}x{{ else if .Values.tier }}y{{ else }}z{{ end }}", "y"),
        ("{{ if not .Values.tier }}x{{ else }}{{ if .Values.nothing }}y{{ end }}z{{ end }}", "z"),
        ('{{ include "team" . | replace "w" "v" | printf "#alert-%s" | quote }}', '"#alert-veb"'),
        ('{{ include "hours" . }}', '"true"'),
        ('{{ .Values.nothing | default "d" }}', "d"),
        ('{{ if and .Values.tier (eq .Values.cluster.name "c1") }}x{{ end }}', "x"),
        ("a {{/* a comment */}}b", "a b"),
        ("a: {{ .Values.cluster.off }}", "a: false"),
    ],
)
def test_a_template_is_rendered(text: str, rendered: str) -> None:
    assert render(text, VALUES, TEMPLATES) == rendered


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ .Values.nothing.here }}", "--values FILE, with .Values.nothing.here"),
        ("{{ .Release.Name }}", "with .Release.Name"),
        ('{{ include "other" . }}', "defines the template 'other'"),
        ("{{ range .Values.cluster }}{{ end }}", "`range .Values.cluster` is not known here"),
        ('{{ lookup "v1" }}', "the function `lookup` is not known here"),
        ("{{ .Values.cluster }}", "prints a whole mapping"),
        ("{{ end }}", "`end` too many"),
        ("{{ .Values.tier", "with a fault"),
        ('{{ quote "a" "b" }}', "`quote` with 2 arguments"),
    ],
)
def test_what_it_lacks_is_named(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=re.escape(reason)):
        render(text, VALUES, TEMPLATES)


def test_templates_that_include_themselves_are_refused() -> None:
    with pytest.raises(Refused, match="without end"):
        render('{{ include "x" . }}', {}, {"x": '{{ include "x" . }}'})


BIG = "x" * 100_000
LAUGHS = {f"t{n}": f'{{{{ include "t{n + 1}" . }}}}' * 10 for n in range(15)} | {"t15": "x"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{{ include "t0" . }}', "includes more than 5,000 templates"),
        ("{{ " + "(" * 9000 + "1" + ")" * 9000 + " }}", "more than 50 parentheses"),
        ("{{ if .Values.big }}" * 500 + "{{ end }}" * 500, "more than 50 conditions"),
        ('{{ "a"' + ' | replace "a" "aa"' * 40 + " }}", "more than 8 MiB"),
        ('{{ .Values.big | replace "" .Values.big }}', "more than 8 MiB"),
        ('{{ printf "' + "%s" * 1000 + '" ' + ".Values.big " * 1000 + "}}", "more than 8 MiB"),
        ("{{ .Values.big }}" * 1000, "more than 8 MiB"),
        ("{{ .Values.big }}" + "x" * (1 << 20), "larger than 1 MiB"),
        *((f"{{{{ {name} }}}}", f"`{name}` without a value") for name in ("default", "and", "or", "not")),
    ],
    ids=lambda value: value[:30],
)
def test_a_few_lines_that_would_become_gigabytes_are_refused(text: str, reason: str) -> None:
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Refused, match=re.escape(reason)):
        render(text, {"big": BIG}, LAUGHS)
    assert time.process_time() - begun < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


def test_named_templates_are_found() -> None:
    text = '{{- define "a" -}}\n{{ if .x }}1{{ else }}2{{ end }}\n{{- end -}}\n{{ define "b" }}web{{ end }}'
    templates = templates_in(text)
    assert set(templates) == {"a", "b"}
    assert templates["b"] == "web"
    assert templates["a"].strip() == "{{ if .x }}1{{ else }}2{{ end }}"


CHART = """\
apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata: {name: shop}
spec:
  service: shop
  labels:
    customer: "{{ .Values.customer }}"
    {{- if .Values.region }}
    region: "{{ .Values.region }}"
    {{- end }}
  slos:
    - name: requests
      objective: 99
      sli:
        events:
          errorQuery: |-
            {{`sum(rate(x_total{code="500"}[{{.window}}])) by (cluster, kind, customer)`}}
          totalQuery: |-
            {{`sum(rate(x_total[{{.window}}])) by (cluster, kind, customer)`}}
      alerting:
        name: A
        labels:
          cluster: "{{ printf "{{ .Labels.cluster }}" }}"
          kind: "{{ printf "{{ .Labels.cluster }}" }}"
          team: {{ include "team" . }}
"""


def test_a_chart_is_exact_with_its_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("shop.yaml", CHART), ("_helpers.tpl", '{{ define "team" }}web{{ end }}')):
        (tmp_path / name).write_text(text)
    (tmp_path / "values").write_text("customer: acme\n")
    (tmp_path / "more").write_text("region: eu\n")
    arguments = [
        "import",
        str(tmp_path),
        "--strict",
        "--values",
        str(tmp_path / "values"),
        "--values",
        str(tmp_path / "more"),
    ]
    assert run(arguments) == 0
    text = capsys.readouterr().out
    assert "customer: acme\n  region: eu\n" in text
    assert "by: [cluster, kind]" in text
    assert "team: web" in text
    assert "kind: '{{ .Labels.cluster }}'" in text


def test_a_chart_without_its_values_is_refused_by_name() -> None:
    [result] = convert({"shop.yaml": CHART}, Options())
    [refusal] = result.refusals
    assert result.tool == "a Sloth file"
    assert refusal.reason.startswith(
        "is a Helm template, not a document yet; render it first: helm template CHART | slo import -"
    )
    assert ".Values.customer" in refusal.reason


def test_values_that_are_none_are_bad_input(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(CHART)
    (tmp_path / "values").write_text("[1]\n")
    assert run(["import", str(tmp_path / "shop.yaml"), "--values", str(tmp_path / "values")]) == 2
    assert run(["import", str(tmp_path / "shop.yaml"), "--values", str(tmp_path / "none")]) == 2


@pytest.mark.parametrize(
    "action", ["nindent 999999999 .Values.a", "indent -1 .Values.a", "indent .Values.a .Values.a", "toYaml", "indent 2"]
)
def test_odd_indents_are_refused(action: str) -> None:
    with pytest.raises(Refused):
        render(f"a: {{{{ {action} }}}}", {"a": "b"}, {})


def test_values_are_written_as_yaml() -> None:
    text = render(
        "a:\n  {{- toYaml .Values.a | nindent 2 }}\nb: {{ toYaml .Values.b }}",
        {"a": {"x": ["1", "y"], "b": "z: w"}, "b": {}},
        {},
    )
    assert yaml.safe_load(text) == {"a": {"x": ["1", "y"], "b": "z: w"}, "b": {}}
