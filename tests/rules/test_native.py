"""Latency from native histograms, judged by promtool: the engine holds no histograms."""

from __future__ import annotations

from pathlib import Path

import pytest

from slo.budget.evaluate import evaluate
from slo.budget.model import State
from slo.errors import SloError
from slo.promql.samples import Samples
from slo.rules import compile_specs, to_yaml
from slo.sli.native_latency import NativeLatency
from slo.source.recording import Header, Recording, write
from slo.source.simulation import simulate
from slo.spec.load import loads
from slo.spec.model import Specs
from tests.servers import promtool

DEFINITION = """\
service: s
slos:
  - name: latency
    objective: p95 < 500ms
    sli: {latency: {histogram: 'duration_seconds{job="api"}', native: true}}
"""
# Schema 0 has powers of two as bounds: (0.125, 0.25], (0.25, 0.5] and (0.5, 1] get 10, 20 and 10 requests each 30 s.
TEST = """\
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 30s
    input_series:
      - series: duration_seconds{job="api",instance="a"}
        values: '{{schema:0 count:40 sum:16 offset:-2 buckets:[10 20 10]}}+{{schema:0 count:40 sum:16 offset:-2 buckets:[10 20 10]}}x40'
    promql_expr_test:
      - expr: slo:events:increase1m
        eval_time: 15m
        exp_samples:
          - {labels: 'slo:events:increase1m{service="s",slo="latency",event="observations"}', value: 80}
          - {labels: 'slo:events:increase1m{service="s",slo="latency",event="slow"}', value: 20}
      - expr: slo:sli_error:ratio_rate5m
        eval_time: 15m
        exp_samples: [{labels: 'slo:sli_error:ratio_rate5m{service="s",slo="latency"}', value: 0.25}]
"""


def specs() -> Specs:
    return Specs(loads(DEFINITION, "x.yaml", []))


@pytest.mark.server
def test_a_quarter_of_the_requests_is_slow(tmp_path: Path) -> None:
    assert isinstance(specs()["s/latency"].sli, NativeLatency)
    (tmp_path / "rules.yml").write_text(to_yaml(compile_specs(specs())[0]))
    (tmp_path / "test.yml").write_text(TEST)
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", tmp_path / "rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    proved = promtool("test", "rules", tmp_path / "test.yml")
    assert proved.returncode == 0, proved.stdout + proved.stderr


def test_a_recording_holds_none_and_says_so(tmp_path: Path) -> None:
    write(tmp_path / "r.parquet", Samples.from_series([]), Header(0, 1, "a test"))
    budget = evaluate(specs()["s/latency"], Recording.open(tmp_path / "r.parquet"), 1_790_000_000_000)
    assert budget.state is State.NO_DATA
    with pytest.raises(SloError, match="recordings hold no native histograms"):
        simulate(specs(), days=1, seed=1, end_ms=1_790_000_000_000)
