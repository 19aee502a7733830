"""What `slo backfill` computes is what the rules would have recorded, whatever is there already and however often it stops."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from slo.backfill import backfill, compute, filled
from slo.backfill.job import _BackfillJob
from slo.cli.main import run as slo
from slo.errors import ConfigError, SourceError
from slo.files import alone_in
from slo.promql.ast import VectorSelector
from slo.promql.rules import run_rules
from slo.promql.samples import Samples, Series, is_stale
from slo.rules import NAMES, RecordingRule, compile_specs
from slo.rules.groups import engine_group
from slo.source.recording import Header, write
from slo.source.simulation import simulate
from slo.spec.load import load
from slo.spec.model import Specs
from slo.window import DAY, HOUR, MINUTE, parse_moment
from tests.memory import Memory

DEFINITION = """\
service: shop
slos:
  - name: availability
    objective: 99.9
    window: 1d
    sli: {ratio: {errors: 'requests_total{job="shop",code=~"5.."}', total: 'requests_total{job="shop"}'}}
  - name: latency
    objective: 99
    window: week
    by: [instance]
    sli: {latency: {histogram: 'duration_seconds{job="shop"}', threshold: 500ms}}
  - name: probe
    objective: 99
    window: 1d
    sli: {probe: 'probe_success{job="blackbox"}'}
  - {name: recovery, objective: 99, window: 1d, sli: {outage: {of: availability, longer_than: 10m}}}
"""
END = 1_795_219_200_000 + 7 * HOUR + 11 * MINUTE
START = END - 8 * HOUR
BLOCK = 18 * HOUR  # what a Prometheus that keeps 15 days makes at most
Points = dict[tuple[tuple[str, str], ...], dict[int, float]]


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Specs:
    file = tmp_path_factory.mktemp("definitions") / "shop.yaml"
    file.write_text(DEFINITION)
    return load(file)


@cache
def raw() -> Samples:
    problems: list[object] = []
    from slo.spec.load import loads

    found = Specs(loads(DEFINITION, "shop.yaml", problems))  # type: ignore[arg-type]
    samples, _ = simulate(found, days=1, seed=5, end_ms=END)
    return samples


def recorded(specs: Specs, start_ms: int, end_ms: int, offset: float = 0.0, names: str = "slo") -> Samples:
    """All rules at once over a span, as a server evaluates them: no stretches, and no history of their own before."""
    groups = [engine_group(group) for group in compile_specs(specs, NAMES[names])[0]]
    result = run_rules(groups, raw(), (start_ms + 1) / 1000, end_ms / 1000, offset=offset)
    kept = (one for one in result.recorded.series if not one.labels["__name__"].startswith("ALERTS"))
    return Samples(
        Series(one.labels, one.times[~is_stale(one.values)], one.values[~is_stale(one.values)]) for one in kept
    )


def points(series: Sequence[Series]) -> Points:
    return {
        tuple(sorted(one.labels.items())): dict(zip(one.times.tolist(), one.values.tolist(), strict=True))
        for one in series
        if len(one.times)
    }


def written(folder: Path) -> Points:
    """What OpenMetrics files hold, read by a parser of this test's own."""
    found: Points = {}
    for file in sorted(folder.glob("*.om")):
        *lines, last = file.read_text().splitlines()
        assert last == "# EOF"
        for line in lines:
            match = re.fullmatch(r"([\w:]+)\{(.*)\} (\S+) (\d+\.\d{3})", line)
            assert match is not None, line
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2])) | {"__name__": match[1]}
            at = round(float(match[4]) * 1000)
            began = datetime.fromtimestamp(at // BLOCK * BLOCK / 1000, UTC)
            assert file.name == f"{began:%Y-%m-%dT%H}.om", "in the file of its block"
            assert found.setdefault(tuple(sorted(labels.items())), {}).setdefault(at, float(match[3])) == float(
                match[3]
            )
    return found


def same(found: Points, expected: Points) -> None:
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert found[key].keys() == values.keys(), key
        np.testing.assert_allclose(
            [found[key][at] for at in values], list(values.values()), rtol=1e-12, err_msg=str(key)
        )


@pytest.mark.parametrize("names", ["slo", "sloth"] if "SLO_SLOW" in os.environ else ["slo"])
def test_it_is_what_the_rules_record(specs: Specs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    """In stretches of three hours, which end within slices, windows and outages."""
    monkeypatch.setattr(compute, "_STRETCH_MS", 3 * HOUR)
    made = backfill(specs, Memory(raw(), END), tmp_path / "out", START, END, NAMES[names])
    expected = points(recorded(specs, START, END, names=names).series)
    same(written(tmp_path / "out"), expected)
    assert (made.series, made.samples) == (len(expected), sum(map(len, expected.values())))
    assert list(made.files) == sorted((tmp_path / "out").iterdir())
    assert made.empty == ()


def test_a_group_may_hold_nothing_but_alerts(tmp_path: Path) -> None:
    """Of scrapes 5 m apart all rules have one interval, and so many that the alerts stand in a group of their own."""
    file = tmp_path / "shop.yaml"
    file.write_text(DEFINITION.replace("    window: 1d\n", "    window: 7d\n    scrape_interval: 5m\n"))
    slow = Specs([replace(service, slos=service.slos[:1]) for service in load(file).services])
    groups, _ = compile_specs(slow, at_once=True)
    assert not all(any(isinstance(rule, RecordingRule) for rule in group.rules) for group in groups)
    [one] = slow.values()
    same(points(filled(one, Memory(raw(), END), START, END).series), points(recorded(slow, START, END).series))


@pytest.mark.parametrize("offset", [0.0, 17.0, 61.0] if "SLO_SLOW" in os.environ else [61.0])
def test_it_meets_what_is_recorded_already(specs: Specs, offset: float) -> None:
    """A server that began six hours ago and was down for two: the rest is filled, on its clock, and no event twice."""
    # Without the SLO by instance: which instances have a place hangs on when a server began.
    specs = Specs([replace(one, slos=tuple(s for s in one.slos if s.name != "latency")) for one in specs.services])
    live = recorded(specs, END - 6 * HOUR, END, offset)
    down = (END - 4 * HOUR, END - 2 * HOUR)
    kept = [
        Series(one.labels, one.times[up], one.values[up])
        for one in live.series
        if (up := (one.times <= down[0]) | (one.times > down[1])).any()
    ]
    source = Memory(Samples((*raw().series, *kept)), END)
    expected = points(recorded(specs, START, END, offset).series)
    for one in specs.values():
        made = filled(one, source, START, END)
        whole = points(made.series)
        for series in kept:
            key = tuple(sorted(series.labels.items()))
            if dict(key)["slo"] != one.name:
                continue
            values = whole.setdefault(key, {})
            assert not values.keys() & set(series.times.tolist())
            values.update(zip(series.times.tolist(), series.values.tolist(), strict=True))
        tiles = [key for key in whole if ":increase" in dict(key)["__name__"] or ":down:" in dict(key)["__name__"]]
        assert tiles
        for key in tiles:
            # A clock of its own begins up to an interval later; and the first coarse tile of a server that has just
            # begun lacks fine ones, which nothing can add to.
            begun = (START, END - 6 * HOUR, down[1]) if "5m" in dict(key)["__name__"] else (START,)

            def settled(points: dict[int, float], begun: tuple[int, ...] = begun) -> dict[int, float]:
                return {at: value for at, value in points.items() if all(not 0 <= at - b <= 6 * MINUTE for b in begun)}

            assert settled(whole[key]) == pytest.approx(settled(expected[key]))
        assert filled(one, Memory(Samples((*source._samples.series, *made.series)), END), START, END).series == ()


class Failing(Memory):
    """Fails at the second SLO, the first time."""

    failed = False

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        if not self.failed and any(selector.name == "probe_success" for selector in selectors):
            self.failed = True
            raise SourceError("http://shop:9090: no answer")
        return super().samples(selectors, start_ms, end_ms)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_run_that_stopped_goes_on_where_it_was(specs: Specs, tmp_path: Path) -> None:
    source = Failing(raw(), END)
    with pytest.raises(SourceError, match="shop/probe: http://shop:9090: no answer"):
        backfill(specs, source, tmp_path / "out", START, END)
    assert not list((tmp_path / "out").glob("*.om")), "nothing that could be loaded"
    unfinished = tmp_path / "out" / ".unfinished"
    # A run that is killed leaves half of what it was writing, and half a line of its journal.
    for file in [*unfinished.glob("*.om"), unfinished / "journal"]:
        with file.open("ab") as out:
            out.write(b'slo:events:increase1m{event="good"} 12')
    source.asked.clear()
    done: list[int] = []
    backfill(specs, source, tmp_path / "out", START, END, done=lambda: done.append(1))
    assert len(done) == len(specs)
    backfill(specs, Memory(raw(), END), tmp_path / "whole", START, END)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_what_another_run_left_is_not_gone_on_with(specs: Specs, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        backfill(specs, Failing(raw(), END), tmp_path / "out", START, END)
    backfill(specs, Memory(raw(), END), tmp_path / "out", START + HOUR, END)
    backfill(specs, Memory(raw(), END), tmp_path / "whole", START + HOUR, END)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    "line",
    ["5", "null", "[]", '["s/b", 1, 2]', '["s/b", 1, 2, 3]', '["s/b", 1, 2, {"x.om": "y"}]', '["s/b", [], 2, {}]', "[" * 100_000],
    ids=lambda line: line[:12],
)  # fmt: skip
def test_a_damaged_journal_counts_up_to_where_it_is_damaged(tmp_path: Path, line: str) -> None:
    good = '["s/a", 1, 2, {"x.om": 3}]'
    (tmp_path / "journal").write_text(f'"key"\n{good}\n{line}\n{good.replace("s/a", "s/c")}\n')
    (tmp_path / "x.om").write_text("12345")
    job = _BackfillJob(tmp_path, "key")
    assert (job.written, job.sizes) == ({"s/a": (1, 2)}, {"x.om": 3})
    assert (tmp_path / "x.om").read_text() == "123"


def test_two_at_once_in_one_folder_do_not_mix(specs: Specs, tmp_path: Path) -> None:
    with alone_in(tmp_path / "out") as alone, pytest.raises(ConfigError, match="another backfill is at work"):
        assert alone
        backfill(specs, Memory(raw(), END), tmp_path / "out", START, END)
    with alone_in(tmp_path / "out") as alone:  # it ends with whoever had it
        assert alone


def test_files_of_an_earlier_run_are_not_mixed_with(specs: Specs, tmp_path: Path) -> None:
    (tmp_path / "2026-11-21T00.om").write_text("# EOF\n")
    with pytest.raises(ConfigError, match=r"holds \.om files of an earlier backfill"):
        backfill(specs, Memory(raw(), END), tmp_path, START, END)
    assert contents(tmp_path) == {"2026-11-21T00.om": b"# EOF\n"}


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "shop.yaml").write_text(DEFINITION)
    write(tmp_path / "raw.parquet", raw(), Header(END - DAY, END, "simulated"))
    yield tmp_path


def test_the_command(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["backfill", str(files / "shop.yaml"), "-s", str(files / "raw.parquet"), "-o", str(files / "out")]
    assert slo([*arguments, "--start", "6h", "--slo", "probe"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert re.search(r"^[\d,]+ samples of 24 series in 1 file: ", said.err, re.M)
    assert (
        f'for file in {files}/out/*.om; do promtool tsdb create-blocks-from openmetrics --max-block-duration=18h "$file" '
        in said.err
    )
    assert slo([*arguments, "--slo", "probe"]) == 2
    assert "holds .om files of an earlier backfill" in capsys.readouterr().err


@pytest.mark.parametrize(("now", "until"), [("12:59", "08:00"), ("13:00", "10:00"), ("13:01", "10:00")])
def test_files_end_before_what_a_server_has_in_memory(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, now: str, until: str
) -> None:
    """Blocks of 2 h are written once they are an hour old; what lies before the end of any block is not read from its log."""
    clock = datetime.fromisoformat(f"{datetime.fromtimestamp(END / 1000, UTC):%Y-%m-%d}T{now}:00+00:00")

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return clock

    monkeypatch.setattr("slo.cli.backfill.datetime", Clock)
    source = ["-s", str(files / "raw.parquet"), "--slo", "probe", "--start", str(END // 1000 - 1800)]
    common = ["backfill", str(files / "shop.yaml"), *source]
    day = f"{clock:%Y-%m-%d}T"
    ends = str(parse_moment(f"{day}{until}:00Z") // 1000)
    assert slo([*common, "--end", f"{day}23:00:00Z", "-o", str(files / "late")]) == 0
    said = capsys.readouterr().err
    assert f"history up to {clock:%Y-%m-%d} {until} UTC: what is newer a server has in memory" in said
    assert slo([*common, "--end", ends, "-o", str(files / "named")]) == 0
    assert "in memory" not in capsys.readouterr().err
    assert contents(files / "late") == contents(files / "named") != {}
