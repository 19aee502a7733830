"""The job's folder through the years: files damaged, cut and newer, the period and the definitions changed."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slo.errors import ConfigError
from slo.ledger import fingerprint
from slo.promql.samples import Samples
from slo.source.recording import Header, write
from slo.spec.load import load
from slo.weekly.period import unit_of
from slo.weekly.state import JobState
from tests.weekly.test_job import DAY, DEFINITION, HOUR, MONDAY, STEP, WEEK, configure, go, record


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(DEFINITION)
    record(tmp_path, MONDAY - 5 * WEEK, MONDAY + 2 * WEEK)
    return tmp_path


STATES = {
    "": "not JSON, or ends early",
    '{"version": 1, "per': "not JSON, or ends early",
    "[" * 100_000: "not JSON, or ends early",
    '{"version": 2, "periods": {}}': "later version.*update this package",
    '{"version": "1", "periods": {}}': "is damaged",
    "[]": "is damaged",
    '{"version": 1}': "is damaged",
    '{"version": 1, "periods": {"2026-W38": {"whole": 1}}}': "is damaged.*2026-W38",
    '{"version": 1, "periods": {"2026-W38": {"delivered": 5}}}': "is damaged",
    '{"version": 1, "periods": {"2026-W38": {"more": 5}}}': "is damaged",
    '{"version": 1, "periods": {"../x": {"whole": true}}}': "is damaged",
}


@pytest.mark.parametrize("text", STATES, ids=lambda text: text[:40])
def test_a_state_that_cannot_be_read_has_a_message_and_a_way_on(place: Path, text: str) -> None:
    file = configure(place)
    (place / "out").mkdir()
    (place / "out" / "state.json").write_text(text)
    with pytest.raises(ConfigError, match=STATES[text]) as caught:
        go(file, MONDAY + 1)
    assert "state.json" in str(caught.value)
    assert [path.name for path in (place / "out").iterdir() if path.name != ".lock"] == ["state.json"]
    (place / "out" / "state.json").rename(place / "away")  # what the message says
    assert go(file, MONDAY + 1)[0] == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["version", "periods", "2026-W01", "whole", "delivered", "told", "x"]), inner, max_size=4), max_leaves=8).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_state_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.json").write_bytes(content)
    try:
        JobState.read(tmp_path / "state.json")
    except ConfigError as error:
        assert "state.json" in str(error)


def reports(reported: Any) -> list[str]:
    return [fields["period"] for event, fields in reported if event == "report"]


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [("month", "week", ["2026-W38"]), ("week", "month", ["2026-08"]), ("week", "quarter", ["2026-Q2"]), ("quarter", "week", ["2026-W38"])],
)  # fmt: skip
def test_a_changed_period_begins_anew_with_the_last_whole_one(
    place: Path, first: str, then: str, expected: list[str]
) -> None:
    file = configure(place, period=first)
    assert go(file, MONDAY - 2 * WEEK)[0] == 0
    assert go(file, MONDAY)[0] == 0
    configure(place, period=then)
    code, reported = go(file, MONDAY + 1)
    assert (code, reports(reported)) == (0, expected)
    assert reports(go(file, MONDAY + 2)[1]) == []
    # And it catches up as ever; going back is the same.
    assert len(reports(go(file, MONDAY + 2 * WEEK + 1)[1])) == (2 if then == "week" else 1)  # October has begun
    configure(place, period=first)
    assert len(reports(go(file, MONDAY + 2 * WEEK + 1)[1])) <= 3


@given(st.text(max_size=10))
def test_names_are_those_of_periods_or_none(name: str) -> None:
    assert unit_of(name) in (None, "week", "month", "quarter")
    assert unit_of("2026-W38") == "week" and unit_of("2026-09") == "month" and unit_of("2026-Q3") == "quarter"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"slos": 5}', '{"slos": [{}]}', '{"slos": [{"slo": 1, "state": "x", "error_budget": {"remaining": 1}}]}', "null", '{"slos": [{"slo": "a", "state": "x", "error_budget": {"remaining": 1e999}}]}'])  # fmt: skip
def test_a_damaged_report_of_the_past_is_named_and_the_run_goes_on(place: Path, content: str) -> None:
    file = configure(place)
    go(file, MONDAY + 1)
    (place / "out" / "2026-W38" / "report.json").write_text(content)
    code, reported = go(file, MONDAY + WEEK + 1)
    assert code == 0 and reports(reported) == ["2026-W39"]
    [fields] = [fields for event, fields in reported if event == "report damaged"]
    assert "2026-W38/report.json" in fields["error"] and "made again" in fields["error"]
    assert 'href="2026-W39/index.html"' in (place / "out" / "index.html").read_text()


def test_damaged_and_later_ledgers_are_named(place: Path) -> None:
    file = configure(place, ledger="ledger")
    go(file, MONDAY + 1)
    kept = place / "ledger" / "steps" / "week=2026-W38" / "service=shop" / "events.parquet"
    data = kept.read_bytes()
    rng = random.Random(5)
    for _ in range(12):
        bad = bytearray(data)
        bad[rng.randrange(4, len(bad))] ^= 1 << rng.randrange(8)
        kept.unlink()
        kept.write_bytes(bad if rng.random() < 0.7 else bad[: rng.randrange(len(bad))])
        try:
            code, _ = go(file, MONDAY + WEEK + 1)
        except ConfigError as error:
            assert str(kept) in str(error) and "move it away" in str(error)
        else:
            assert code == 0
        (place / "out" / "state.json").unlink(missing_ok=True)
        shutil.rmtree(place / "ledger" / "steps" / "week=2026-W39", ignore_errors=True)


def test_what_another_sli_counted_is_left_out_and_said(place: Path) -> None:
    """The errors of code 500 are not errors of code 200, though the SLO has kept its name."""
    file = configure(place, ledger="ledger")
    go(file, MONDAY + 1)
    record(place, MONDAY - DAY, MONDAY + WEEK)  # the server has dropped what was before
    (place / "shop.yaml").write_text(
        DEFINITION.replace('code="500"', 'code="404"', 1).replace("name: quarterly", "name: renamed")
    )
    go(file, MONDAY + WEEK + 1)
    report = json.loads((place / "out" / "2026-W39" / "report.json").read_text())
    [said] = [text for text in report["warnings"] if "its SLI was another one" in text]
    assert "shop/errors" in said and "2026-W38" in said
    [errors] = [entry for entry in report["slos"] if entry["slo"] == "shop/errors"]
    assert errors["events"]["errors"] == 0
    # Written in another way it is the same.
    (place / "shop.yaml").write_text(
        DEFINITION.replace('code="500"', 'code="404"', 1)
        .replace("name: quarterly", "name: renamed")
        .replace("objective: 99", "objective: 95")
        + "# more\n"
    )
    (place / "out" / "state.json").unlink()
    go(file, MONDAY + WEEK + 2)
    again = json.loads((place / "out" / "2026-W39" / "report.json").read_text())
    assert [text for text in again["warnings"] if "its SLI was another one" in text] == [said]


def warnings_after(place: Path, definition: str, week: int = 1) -> list[str]:
    """What the report on a later week warns of, after the definitions have become others."""
    (place / "shop.yaml").write_text(definition)
    go(configure(place, ledger="ledger"), MONDAY + week * WEEK + 1)
    report = json.loads((place / "out" / f"2026-W{38 + week}" / "report.json").read_text())
    return [text for text in report["warnings"] if "ledger" in text]


ONE = DEFINITION.partition("  - name: quarterly")[0]


def test_a_new_name_is_said_for_as_long_as_the_old_one_would_count(place: Path) -> None:
    (place / "shop.yaml").write_text(ONE)
    go(configure(place, ledger="ledger"), MONDAY + 1)
    renamed = ONE.replace("name: errors", "name: requests").replace("window: 28d", "window: 10d")
    [text] = warnings_after(place, renamed)
    assert "shop/requests: its SLI was counted as shop/errors in 2026-W38" in text and "give it the old name" in text
    assert warnings_after(place, renamed, week=2) == []  # ten days reach back to 2026-W39 alone
    # The service's name is part of it.
    [text] = warnings_after(place, renamed.replace("service: shop", "service: store"), week=3)
    assert "store/requests: its SLI was counted as shop/requests in 2026-W40, a name" in text


def test_an_slo_that_is_gone_is_named_once(place: Path) -> None:
    (place / "shop.yaml").write_text(DEFINITION.replace('code="500"', 'code="404"', 1))
    go(configure(place, ledger="ledger"), MONDAY + 1)
    [text] = warnings_after(
        place, DEFINITION.replace('code="500"', 'code="404"', 1).partition("  - name: quarterly")[0]
    )
    assert text.endswith("no longer defined, and not on this report: shop/quarterly")
    assert warnings_after(place, (place / "shop.yaml").read_text(), week=2) == []


def test_what_has_kept_its_name_or_shares_an_sli_is_not_a_renamed_one(place: Path) -> None:
    """Both SLOs of the definition count the same: a third one with that SLI is new, and so is one of another SLI."""
    go(configure(place, ledger="ledger"), MONDAY + 1)
    more = """  - {name: third, objective: 99, sli: {ratio: {errors: 'r_total{code="500"}', total: r_total}}}
  - {name: other, objective: 99, sli: {ratio: {errors: 'r_total{code="501"}', total: r_total}}}
"""
    assert warnings_after(place, DEFINITION + more) == []


def test_an_slo_with_by_is_renamed_as_a_whole(place: Path) -> None:
    by = ONE.replace("    window: 28d\n", "    window: 28d\n    by: [instance]\n")
    (place / "shop.yaml").write_text(by)
    go(configure(place, ledger="ledger"), MONDAY + 1)
    [text] = warnings_after(place, by.replace("name: errors", "name: requests"))
    assert "shop/requests: its SLI was counted as shop/errors.i in 2026-W38" in text
    assert warnings_after(place, by.replace("name: errors", "name: requests"), week=2)[0] == text


def test_fingerprints_tell_definitions_apart(place: Path) -> None:
    def sli(text: str) -> str:
        (place / "one.yaml").write_text(f"service: a\nslos:\n  - {{name: x, objective: 99, sli: {text}}}\n")
        [slo] = load([place / "one.yaml"]).values()
        return fingerprint(slo.sli)

    texts = ["{ratio: {errors: 'a{b=\"c\"}', total: a}}", "{ratio: {errors: 'a{b=\"d\"}', total: a}}", "{ratio: {good: 'a{b=\"c\"}', total: a}}",
             "{latency: {histogram: d_seconds, threshold: 300ms}}", "{latency: {histogram: d_seconds, threshold: 500ms}}", "{probe: {metric: up}}"]  # fmt: skip
    assert len({sli(text) for text in texts}) == len(texts)
    assert sli(texts[0]) == sli("{ratio: {total: a, errors: 'a{ b = \"c\" }'}}")


def test_a_week_in_new_york_is_that_of_the_job(tmp_path: Path) -> None:
    """All errors are in its first hours, which are Monday there and in UTC; the last of them are Sunday there alone."""
    (tmp_path / "shop.yaml").write_text(DEFINITION.replace("window: 28d", "window: week", 1))
    end = MONDAY + 4 * HOUR  # Monday 00:00 in New York
    times = np.arange(end - 3 * WEEK, end + DAY, STEP)
    inside = (times > end - 2 * HOUR) & (times <= end)  # Sunday evening there, Monday in UTC
    bad = np.cumsum(np.where(inside, 100, 0)).astype(float)
    rows = [
        ({"__name__": "r_total", "job": "j", "instance": "i", "code": code}, times, values)
        for code, values in (("200", 10.0 * np.arange(len(times))), ("500", bad))
    ]
    write(tmp_path / "r.parquet", Samples.from_series(rows), Header(int(times[0]), int(times[-1]), "a test"))
    go(configure(tmp_path, time_zone="America/New_York"), end + 1)
    report = json.loads((tmp_path / "out" / "2026-W38" / "report.json").read_text())
    [errors] = [entry for entry in report["slos"] if entry["slo"] == "shop/errors"]
    assert (errors["start"], errors["end"]) == ("2026-09-14T04:00:00Z", "2026-09-21T04:00:00Z")
    assert errors["events"]["errors"] == 2400 and errors["state"] == "exhausted"


def test_a_state_file_keeps_its_keys(tmp_path: Path) -> None:
    """Format 1 says `told` of who was notified of missing data; another name would make every report again."""
    file = tmp_path / "state.json"
    content = {"version": 1, "periods": {"2026-W38": {"whole": False, "delivered": [], "told": ["webhook"]}}}
    file.write_text(json.dumps(content))
    state = JobState.read(file)
    assert state.periods["2026-W38"].notified == ["webhook"]
    state.write(file)
    assert json.loads(file.read_text()) == content
