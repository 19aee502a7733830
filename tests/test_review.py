"""One way from definitions and a source to what is shown: status, report, the weekly job, notebooks and Python."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slo
from slo.cli.main import run
from slo.promql.samples import Samples
from slo.report import render
from slo.sli import stepwise
from slo.source.recording import Header, write
from slo.window import DAY, HOUR, MINUTE, moment
from tests.memory import Memory, Server

END = 1_790_000_000_000 // DAY * DAY
TEXT = """
service: shop
slos:
  - {name: errors, objective: 99, window: 1d, sli: {ratio: {errors: 'e_total', total: t_total}}}
  - {name: quiet, objective: 90, window: 1d, sli: {ratio: {errors: 'q_total', total: t_total}}}
"""
SPECS = slo.load(TEXT)


def samples() -> Samples:
    """Four days, 10 events a minute on each of two instances; one fails for the last two hours, and did on the day before."""
    times = np.arange(END - 4 * DAY, END + 1, MINUTE, dtype=np.int64)
    steps = np.arange(len(times))
    bad = (times > END - 2 * HOUR) | ((times > END - 30 * HOUR) & (times <= END - 29 * HOUR))
    rows: list[tuple[dict[str, str], Any, Any]] = []
    for instance in ("a", "b"):
        labels = {"job": "shop", "instance": instance}
        rows.append(({"__name__": "t_total", **labels}, times, 10.0 * steps))
        errors = np.cumsum(bad * (10.0 if instance == "a" else 0.0))
        rows.append(({"__name__": "e_total", **labels}, times, errors))
        rows.append(({"__name__": "q_total", **labels}, times, 0.0 * steps))
    return Samples.from_series(rows)


SAMPLES = samples()


def test_a_review_has_figures_past_and_contributors() -> None:
    """28,800 events of a day: 1,200 bad ones in two hours against 288 allowed, 600 in one hour of the day before."""
    review = slo.review(SPECS, Memory(SAMPLES, END), since="1d")
    errors = review["shop/errors"]
    assert [budget.slo.id for budget in review] == ["shop/errors", "shop/quiet"]
    assert (errors.errors, errors.total) == (1200, 28_800)
    assert errors.remaining == pytest.approx(1 - 1200 / 288)
    assert errors.earlier is not None and errors.earlier.errors == 600
    assert errors.change == pytest.approx((600 - 1200) / 288)
    [by_instance] = errors.breakdowns
    assert [(share.value, share.errors) for share in by_instance.shares] == [("a", 1200), ("b", 0)]
    assert review.worst_first[0] is errors and review.at == moment(END) and review.source == "memory"


@pytest.mark.parametrize("source", [Memory, Server])
def test_what_is_added_changes_no_figure(source: type[Memory]) -> None:
    bare = slo.review(SPECS, source(SAMPLES, END), since=None, breakdown=False)
    full = slo.review(
        SPECS, source(SAMPLES, END), since="2d", events=[slo.Event(END - HOUR, END, "racks", "*", "maintenance")]
    )
    added = {"earlier", "previous", "remaining_change", "breakdown", "known_events", "without_maintenance"}
    for one, other in zip(bare, full, strict=True):
        left, right = one.to_dict(), other.to_dict()
        assert {key: left[key] for key in left.keys() - added} == {key: right[key] for key in left.keys() - added}
        assert right["earlier"] is not None and right["without_maintenance"] is not None
        assert left["earlier"] is None and one == one and slo.evaluate(one.slo, source(SAMPLES, END)).to_dict() == left


def test_a_server_is_asked_for_contributors_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", -1)  # so that the server adds up
    bare = slo.review(SPECS, Server(SAMPLES, END), since=None, breakdown=False)
    assert [budget.counts.parts for budget in bare] == [None, None]
    full = slo.review(SPECS, Server(SAMPLES, END), since=None)
    assert [share.errors for share in full["shop/errors"].breakdowns[0].shares] == [1200, 0]


def test_only_the_worst_are_asked_for_contributors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that have bad events; the others say so, and no figure is another one."""
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", -1)
    text = TEXT + "  - {name: more, objective: 50, window: 1d, sli: {ratio: {errors: 'e_total', total: t_total}}}\n"
    specs = slo.load(text)
    every = slo.review(specs, Server(SAMPLES, END), since=None, breakdown=True)
    assert [len(budget.breakdowns) for budget in every] == [1, 0, 1]
    for most, having in ((1, ["shop/errors"]), (0, []), (2, ["shop/errors", "shop/more"])):
        review = slo.review(specs, Server(SAMPLES, END), since=None, breakdown=most)
        assert [budget.slo.id for budget in review if budget.breakdowns] == having
        notes = {budget.slo.id: [note.text for note in budget.notes if note.code == "not-asked"] for budget in review}
        assert notes["shop/quiet"] == []
        assert [f"slo report --slo {key}" in str(text) for key, text in notes.items()] == [
            key not in (*having, "shop/quiet") for key in notes
        ]
        for one, other in zip(review, every, strict=True):
            left, right = one.to_dict(), other.to_dict()
            assert [key for key in left if left[key] != right[key]] == ["breakdown", "notes"] * (
                one.counts.parts is None and one.errors > 0
            )


def test_of_few_slos_all_have_contributors_and_of_many_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", -1)
    own = "  - {{name: s{}, objective: {}, window: 1d, sli: {{ratio: {{errors: 'e_total', total: t_total}}}}}}\n"
    for number, having in ((50, 50), (51, 10)):
        text = "service: shop\nslos:\n" + "".join(own.format(place, 50 + place / 4) for place in range(number))
        review = slo.review(slo.load(text), Server(SAMPLES, END), since=None)
        known = [budget.slo.name for budget in review if budget.breakdowns]
        assert known == [f"s{place}" for place in range(number - having, number)]


def test_a_past_without_steps_has_the_same_figures() -> None:
    whole = slo.review(SPECS, Memory(SAMPLES, END), since="1d")
    bare = slo.review(SPECS, Memory(SAMPLES, END), since="1d", past_steps=False)
    assert [budget.to_dict() for budget in bare] == [budget.to_dict() for budget in whole]
    pages = [render(review.budgets, title="Review", generated=moment(END)) for review in (whole, bare)]
    assert pages[0] == pages[1]
    past = bare["shop/errors"].earlier
    assert past is not None and past.counts.errors.size == 0
    assert len(pickle.dumps(bare[0])) < len(pickle.dumps(whole[0])) / 2


def test_nothing_more_is_asked_for_what_is_left_out() -> None:
    source = Server(SAMPLES, END)
    states = (slo.State.HEALTHY,)
    review = slo.review(SPECS, source, since="30d", keep=lambda budget: budget.state in states, read="raw")
    alone = Server(SAMPLES, END)
    slo.review([SPECS["shop/errors"]], alone, since=None, breakdown=False, read="raw")
    only = Server(SAMPLES, END)
    slo.review([SPECS["shop/quiet"]], only, since="30d", read="raw")
    assert [budget.slo.name for budget in review] == ["quiet"]
    assert len(source.asked) == len(alone.asked) + len(only.asked)


def test_every_way_to_say_when_gives_the_same() -> None:
    at = END - 6 * HOUR
    source = Memory(SAMPLES, END)
    texts: Sequence[Any] = (at, moment(at), f"{moment(at):%Y-%m-%dT%H:%M:%SZ}", str(at // 1000))
    reviews = [slo.review(SPECS, source, at=when) for when in texts]
    assert {review.at for review in reviews} == {moment(at)}
    assert all(review[0].errors == 600 for review in reviews)  # the hour of the day before, and none since
    assert slo.review(SPECS, source).at == moment(END)  # the source's own end
    with pytest.raises(slo.DurationError, match="'soon' is not a valid time; write 2026-11-20T12:00:00Z"):
        slo.review(SPECS, source, at="soon")


def test_events_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(f"start,end,name,kind\n{(END - HOUR) // 1000},{END // 1000},racks,maintenance\n")
    [event] = slo.review(SPECS, Memory(SAMPLES, END), events=file)[0].events
    assert (event.name, event.start_ms) == ("racks", END - HOUR)
    with pytest.raises(slo.DefinitionError, match="cannot be read"):
        slo.review(SPECS, Memory(SAMPLES, END), events=tmp_path / "none.yaml")


def test_a_past_that_fails_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    class Young(Server):
        """A server that refuses what lies before its data."""

        def query_range(self, expr: Any, start_ms: int, end_ms: int, step_ms: int) -> Any:
            if start_ms < END - 5 * DAY:
                raise slo.SourceError("no data before Monday")
            return super().query_range(expr, start_ms, end_ms, step_ms)

        def samples(self, selectors: Any, start_ms: int, end_ms: int) -> Samples:
            if start_ms < END - 5 * DAY:
                raise slo.SourceError("no data before Monday")
            return super().samples(selectors, start_ms, end_ms)

    budget = slo.review([SPECS["shop/errors"]], Young(SAMPLES, END), since="7d")[0]
    assert budget.errors == 1200 and budget.earlier is None
    assert [note.text for note in budget.notes if note.code == "no-past"] == [
        "the previous window could not be read: no data before Monday"
    ]


def test_an_unknown_name_says_what_is_meant() -> None:
    review = slo.review(SPECS, Memory(SAMPLES, END))
    with pytest.raises(KeyError, match="no budget of 'shop/error'; did you mean `shop/errors`"):
        review["shop/error"]
    assert review[-1].slo.name == "quiet" and [one.slo.name for one in review[:1]] == ["errors"]
    assert repr(review) == f"<Review of 2 SLOs at {moment(END):%Y-%m-%d %H:%M} UTC>"


def test_progress_is_reported_of_each_step() -> None:
    reported: list[tuple[str, int, int]] = []

    @contextmanager
    def progress(what: str, steps: int) -> Iterator[Any]:
        done: list[None] = []
        yield lambda: done.append(None)
        reported.append((what, steps, len(done)))

    slo.review(SPECS, Memory(SAMPLES, END), progress=progress)
    slo.review(SPECS, Memory(SAMPLES, END), progress=progress, since=None, breakdown=False)
    assert reported == [("evaluating", 2, 2), ("comparing", 2, 2), ("evaluating", 2, 2)]


def test_status_report_weekly_and_python_are_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same figures of the same moment from all four, field by field."""
    definition, recording = tmp_path / "shop.yaml", tmp_path / "r.parquet"
    definition.write_text(TEXT)
    write(recording, SAMPLES, Header(END - 4 * DAY, END, "test"))
    specs, source = slo.load(definition), slo.open(recording)
    monday = END - (END // DAY + 3) % 7 * DAY  # day 0 was a Thursday
    at = f"{moment(monday):%Y-%m-%dT%H:%M:%SZ}"
    python = [budget.to_dict() for budget in slo.review(specs, source, at=at, since="7d").worst_first]
    assert (
        run(["report", str(definition), "-s", str(recording), "--end", at, "--format", "json", "-o", str(tmp_path)])
        == 0
    )
    assert run(["status", str(definition), "-s", str(recording), "--end", at, "--json"]) == 0
    said = capsys.readouterr().out
    (tmp_path / "weekly.yaml").write_text(
        f"definitions: [shop.yaml]\nsource: {recording}\nperiod: week\ncatch_up: 1\ndeliver: {{folder: weekly}}\n"
    )
    assert run(["weekly", str(tmp_path / "weekly.yaml"), "--now", at]) == 0
    [weekly] = (tmp_path / "weekly").glob("*/report.json")
    assert json.loads((tmp_path / "report.json").read_text())["slos"] == python
    assert json.loads(weekly.read_text())["slos"] == python
    status = {row["slo"]: row for row in json.loads(said[said.index("{") :])["slos"]}
    for row in python:
        left_out = dict.fromkeys(("earlier", "previous", "remaining_change"))
        assert status[row["slo"]] == row | left_out
    assert replace(specs["shop/errors"], file="", line=0) == replace(SPECS["shop/errors"], file="", line=0)
