"""Hostile histories: deployments, autoscaling, crash loops and relabelling; the truth stays what really happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slo.errors import DefinitionError, SloError
from slo.promql.samples import Samples, is_stale
from slo.source.recording import Header
from slo.source.simulation import simulate
from slo.source.simulation.context import MAX_SAMPLES
from slo.source.simulation.fleet import KINDS
from slo.source.simulation.scenario import read_scenario
from slo.spec.load import load
from slo.spec.model import Specs
from slo.window import DAY, HOUR, MINUTE

END = 1_790_000_000_000 // DAY * DAY
START = END - 2 * DAY
DEFINITION = """\
service: shop
defaults: {window: 1d, scrape_interval: 30s}
slos:
  - name: errors
    objective: 99
    sli: {ratio: {errors: 'r_total{code=~"5.."}', total: r_total}}
  - name: latency
    objective: 99
    sli: {latency: {histogram: took_seconds, threshold: 500ms}}
  - name: up
    objective: 99
    sli: {probe: {metric: 'up{job="shop"}'}}
  - name: memory
    objective: 99
    sli: {threshold: {value: memory_bytes, below: 1GiB}}
  - name: other
    objective: 99
    sli: {ratio: {errors: 'q_total{job="queue",code=~"5.."}', total: 'q_total{job="queue"}'}}
"""


@pytest.fixture
def specs(tmp_path: Path) -> Specs:
    (tmp_path / "shop.yaml").write_text(DEFINITION)
    return load(tmp_path / "shop.yaml")


def made(place: Path, specs: Specs, events: str) -> tuple[Samples, Header]:
    (place / "scenario").write_text(
        "incidents:\n  - {slo: errors, kind: outage, at: 20h, lasts: 10m}\nevents:\n" + events
    )
    return simulate(specs, days=2, seed=1, end_ms=END, scenario=read_scenario(place / "scenario", specs))


def revealed(samples: Samples, without: tuple[str, ...] = ()) -> dict[str, tuple[int, int]]:
    """What scrapes reveal by SLO, sample by sample: labels `without` make no series of its own.

    A fall restarts at 0, and the first value of a series counts unless its job's first scrapes have it already.
    """
    joined: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = defaultdict(list)
    for series in samples.series:
        held = ~is_stale(series.values)
        key = tuple(sorted((k, v) for k, v in series.labels.items() if k not in without))
        joined[key] += zip(series.times[held].tolist(), series.values[held].tolist(), strict=True)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for key, pairs in joined.items():
        labels = dict(key)
        kind = labels.get("code", labels.get("le", ""))
        before: float | None = None
        for at, value in sorted(pairs):
            if before is None:
                counts[labels["__name__"], kind] += 0 if at <= START + 30_000 else int(value)
            else:
                counts[labels["__name__"], kind] += int(value if value < before else value - before)
            before = value

    def of(name: str, *kinds: str) -> int:
        return sum(count for (metric, kind), count in counts.items() if metric == name and (not kinds or kind in kinds))

    whole = of("took_seconds_bucket", "+Inf")
    return {
        "errors": (of("r_total", "500", "503"), of("r_total")),
        "other": (of("q_total", "500", "503"), of("q_total")),
        "latency": (whole - of("took_seconds_bucket", "0.5"), whole),
    }


def reported(header: Header) -> dict[str, tuple[int, int]]:
    slos = header.truth["slos"]
    return {
        name: tuple(slos[f"shop/{name}"]["revealed"][k] for k in ("errors", "total"))
        for name in ("errors", "other", "latency")
    }


def values_of(samples: Samples, label: str, **exact: str) -> set[str]:
    return {s.labels.get(label, "") for s in samples.series if all(s.labels.get(k) == v for k, v in exact.items())}


def only(header: Header) -> Mapping[str, Any]:
    [event] = header.truth["events"]
    return event  # type: ignore[no-any-return]


EVENTS = {
    "deployments": "  - {kind: deployment, job: shop, at: 3h, every: 5h, lasts: 8m}\n",
    "autoscaling": "  - {kind: autoscaling, job: shop, at: 10h, lasts: 4h, replicas: 9}\n",
    "fewer": "  - {kind: autoscaling, at: 10h, lasts: 4h, replicas: 2}\n",
    "daily": "  - {kind: autoscaling, job: shop, at: 6h, lasts: 6h, every: 24h, replicas: 7}\n",
    "crash loop": "  - {kind: crash loop, job: shop, at: 30h, lasts: 1h, every: 45s}\n",
    "relabelling": "  - {kind: relabelling, at: 20h5m, labels: {cluster: eu}}\n",
}
EVENTS["everything"] = "".join(EVENTS.values())


@pytest.mark.parametrize("name", EVENTS)
def test_the_truth_is_what_a_plain_recount_reveals(tmp_path: Path, specs: Specs, name: str) -> None:
    samples, header = made(tmp_path, specs, EVENTS[name])
    assert revealed(samples, without=("cluster",)) == reported(header)
    for slo in ("errors", "latency", "other"):
        truth = header.truth["slos"][f"shop/{slo}"]
        assert 0 < truth["errors"] < truth["total"]
        assert 0.97 * truth["total"] < truth["revealed"]["total"] <= truth["total"]
    [outage] = header.truth["incidents"]
    assert outage["errors"] == outage["total"] > 0


def test_a_deployment_replaces_one_instance_after_the_other(tmp_path: Path, specs: Specs) -> None:
    samples, header = made(tmp_path, specs, "  - {kind: deployment, job: shop, at: 10h, lasts: 8m}\n")
    event = only(header)
    names = [f"shop-{n}:8080" for n in range(4)]
    assert [(change["old"], change["new"]) for change in event["replaced"]] == [
        (n, n.replace(":", "-r2:")) for n in names
    ]
    assert [change["at_ms"] - START - 10 * HOUR for change in event["replaced"]] == [
        0,
        2 * MINUTE,
        4 * MINUTE,
        6 * MINUTE,
    ]
    for metric in ("r_total", "took_seconds_bucket", "up", "memory_bytes"):
        assert values_of(samples, "instance", __name__=metric) == {
            n for change in event["replaced"] for n in (change["old"], change["new"])
        }
    assert values_of(samples, "instance", job="queue") == {f"queue-{n}:8080" for n in range(4)}
    for restart in event["replaced"]:
        for series in samples.series:
            if series.labels["job"] != "shop":
                continue
            if series.labels["instance"] == restart["old"]:
                # It ends, and a stale marker says so: nothing lingers for five minutes.
                assert series.times[-1] <= restart["at_ms"] and is_stale(series.values[-1:])[0]
            elif series.labels["instance"] == restart["new"]:
                assert series.times[0] >= restart["at_ms"] and not is_stale(series.values[:1])[0]
                if series.labels["__name__"] == "r_total":
                    assert series.values[0] < 6 * 30  # it began at 0


def test_autoscaling_runs_more_instances_for_a_time_and_they_have_their_traffic(tmp_path: Path, specs: Specs) -> None:
    samples, header = made(tmp_path, specs, EVENTS["autoscaling"])
    event = only(header)
    added = {change["instance"] for change in event["added"]}
    assert added == {f"shop-{n}:8080" for n in range(4, 9)} and event["removed"] == []
    for series in samples.series:
        if series.labels["instance"] in added:
            held = series.times[~is_stale(series.values)]
            assert held[0] >= START + 10 * HOUR and held[-1] < START + 14 * HOUR
            assert is_stale(series.values[-1:])[0]
            if series.labels["__name__"] == "r_total" and series.labels["code"] == "200":
                assert held[0] < START + 10 * HOUR + 31_000 and held[-1] > START + 14 * HOUR - 31_000
                assert series.values[0] < 6 * 30
    assert values_of(samples, "instance", __name__="q_total") == {f"queue-{n}:8080" for n in range(4)}


def test_fewer_replicas_pause_the_others_and_new_processes_come_back(tmp_path: Path, specs: Specs) -> None:
    samples, header = made(tmp_path, specs, "  - {kind: autoscaling, job: shop, at: 10h, lasts: 4h, replicas: 2}\n")
    event = only(header)
    assert [change["instance"] for change in event["removed"]] == ["shop-2:8080", "shop-3:8080"] and event[
        "added"
    ] == []
    for series in samples.series:
        if series.labels["instance"] in ("shop-2:8080", "shop-3:8080"):
            assert series.times[-1] <= START + 10 * HOUR
        if series.labels["instance"] in ("shop-2-r2:8080", "shop-3-r2:8080"):
            assert series.times[0] >= START + 14 * HOUR
    assert {"shop-2-r2:8080", "shop-3-r2:8080"} <= values_of(samples, "instance", __name__="up")


def test_a_crash_loop_restarts_one_instance_again_and_again(tmp_path: Path, specs: Specs) -> None:
    samples, header = made(tmp_path, specs, EVENTS["crash loop"])
    assert only(header)["crashed"] == [{"job": "shop", "instance": "shop-0:8080"}]
    window = (START + 30 * HOUR, START + 31 * HOUR + MINUTE)
    falls = {}
    for series in samples.series:
        if series.labels["__name__"] == "took_seconds_bucket" and series.labels["le"] == "+Inf":
            inside = (series.times > window[0] - MINUTE) & (series.times < window[1])
            falls[series.labels["instance"]] = int(
                (np.diff(series.values[inside & ~is_stale(series.values)]) < 0).sum()
            )
    # Every 45 s for an hour; some outgrow what they had counted before, within one scrape.
    assert 35 <= falls.pop("shop-0:8080") <= 80
    assert sum(falls.values()) <= 1
    restarts = [
        change
        for change in header.truth["restarts"]
        if window[0] <= change["at_ms"] <= window[1] and change["job"] == "shop"
    ]
    assert 75 <= len([change for change in restarts if change["instance"] == "shop-0:8080"]) <= 82


def test_a_relabelling_adds_labels_to_everything_and_nothing_begins_again(tmp_path: Path, specs: Specs) -> None:
    samples, header = made(tmp_path, specs, EVENTS["relabelling"])
    at = START + 20 * HOUR + 5 * MINUTE
    before = {tuple(sorted(s.labels.items())): s for s in samples.series if "cluster" not in s.labels}
    after = [s for s in samples.series if s.labels.get("cluster") == "eu"]
    assert only(header)["series"] == len(after) and only(header)["labels"] == {"cluster": "eu"}
    continued = 0
    for series in after:
        assert series.times[0] >= at and not is_stale(series.values[:1])[0]
        old = before.get(tuple(sorted((k, v) for k, v in series.labels.items() if k != "cluster")))
        if old is not None and series.labels["__name__"] == "r_total":
            assert old.times[-1] <= at and is_stale(old.values[-1:])[0]
            continued += series.values[0] >= old.values[-2]
    assert continued >= 8
    # All of it: what was not relabelled ended.
    assert all(series.times[-1] <= at for series in before.values())


def test_without_events_a_scenario_is_what_it_was(tmp_path: Path, specs: Specs) -> None:
    with_none, header = made(tmp_path, specs, "  []\n")
    far, later = made(tmp_path, specs, "  - {kind: deployment, at: 300d}\n")
    assert "events" not in header.truth and "events" not in later.truth
    for series, other in zip(with_none.series, far.series, strict=True):
        assert series.labels == other.labels and series.values.tobytes() == other.values.tobytes()


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("{kind: deploymnt, at: 1h}", r"scenario:4:\d+: error: events\[0\]\.kind: 'deploymnt' is not a kind of event; did you mean `deployment`\?; use deployment"),
        ("{kind: deployment}", r"events\[0\].*`at` is missing"),
        ("{kind: deployment, at: 1h, replicas: 3}", r"`replicas` does not belong to a deployment; accepted are at, job, every, lasts"),
        ("{kind: autoscaling, at: 1h, lasts: 1h}", "`replicas` is missing; an autoscaling needs it"),
        ("{kind: autoscaling, at: 1h, lasts: 1h, replicas: many}", "'many' is not a number of instances; use 1 to 200"),
        ("{kind: autoscaling, at: 1h, lasts: 2h, every: 1h, replicas: 5}", "every 1h is less than it lasts; use 2h or more"),
        ("{kind: relabelling, at: 1h}", "`labels` is missing"),
        ("{kind: relabelling, at: 1h, labels: {job: x}}", "'job' cannot be added; use a label name such as cluster and not one of"),
        ("{kind: crash loop, at: 1h, lasts: 1h, evry: 45s}", r"unknown key `evry`; did you mean `every`\?"),
    ],
)  # fmt: skip
def test_faults_of_events_say_where_and_what(tmp_path: Path, specs: Specs, event: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        made(tmp_path, specs, f"  - {event}\n")


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("{kind: deployment, at: 1h, job: shp}", r"scenario: events\[0\]: job: no job 'shp' is simulated; did you mean `shop`\?; there are queue, shop"),
        ("{kind: crash loop, at: 1h, lasts: 1h, job: shop, instance: 'shop-7:8080'}", "no instance 'shop-7:8080' is simulated.*there are shop-0:8080"),
    ],
)  # fmt: skip
def test_an_event_of_nothing_is_refused_with_what_there_is(
    tmp_path: Path, specs: Specs, event: str, message: str
) -> None:
    with pytest.raises(SloError, match=message):
        made(tmp_path, specs, f"  - {event}\n")


def test_the_docs_example_is_a_scenario_and_its_table_names_all_kinds(tmp_path: Path, specs: Specs) -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "simulation.md").read_text(encoding="utf-8")
    [block] = [part.split("```")[0] for part in text.split("```yaml\n")[1:] if part.startswith("events:")]
    (tmp_path / "docs").write_text(block)
    scenario = read_scenario(tmp_path / "docs", specs)
    assert {event.kind for event in scenario.events} == set(KINDS)
    assert all(f"| `{kind}` |" in text for kind in KINDS)
    assert f"at most {MAX_SAMPLES // 10**6} million samples" in text
