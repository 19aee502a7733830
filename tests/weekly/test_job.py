"""The job as a scheduler sees it: once per period, caught up, killed at any point, with a source or a delivery down."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from email import message_from_string, policy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slo.source as slo_source
from slo.errors import ConfigError, DefinitionError, SourceError
from slo.ledger import Ledger
from slo.promql.samples import Samples
from slo.source.recording import Header, write
from slo.weekly import job, read_config, run
from slo.weekly.archive import index_page
from tests.rules.target import Web
from tests.shell import run as slo

DEFINITION = """\
service: shop
slos:
  - name: errors
    objective: 99
    window: 28d
    sli: {ratio: {errors: 'r_total{code="500"}', total: r_total}}
  - name: quarterly
    objective: 99
    window: 90d
    sli: {ratio: {errors: 'r_total{code="500"}', total: r_total}}
"""
HOUR, DAY = 3_600_000, 86_400_000
MONDAY = 1_789_948_800_000  # 21 September 2026, 00:00 UTC
WEEK = 7 * DAY
STEP = 300_000


def record(place: Path, start_ms: int, end_ms: int, name: str = "r.parquet") -> None:
    """Ten requests each 5 m, one of them bad in every second step."""
    times = np.arange(start_ms, end_ms + 1, STEP)
    bad = np.cumsum(times // STEP % 2)
    rows = [
        ({"__name__": "r_total", "job": "j", "instance": "i", "code": code}, times, values.astype(float))
        for code, values in (("200", 10 * np.arange(len(times)) - bad), ("500", bad))
    ]
    write(place / name, Samples.from_series(rows), Header(start_ms, end_ms, "a test"))


def configure(place: Path, **more: str) -> Path:
    settings = {"source": "r.parquet", "deliver": "{folder: out}"} | more
    file = place / "weekly.yaml"
    file.write_text("definitions: [shop.yaml]\n" + "".join(f"{key}: {value}\n" for key, value in settings.items()))
    return file


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(DEFINITION)
    record(tmp_path, MONDAY - 5 * WEEK, MONDAY + 2 * WEEK)
    return tmp_path


class Reported(list[tuple[str, Mapping[str, Any]]]):
    def __call__(self, event: str, fields: Mapping[str, Any]) -> None:
        self.append((event, fields))

    def events(self) -> list[str]:
        return [event for event, _ in self]


def go(file: Path, now: int, environment: Mapping[str, str] | None = None) -> tuple[int, Reported]:
    reported = Reported()
    return run(read_config(file), now, reported, environment or {}, wait=lambda seconds: None), reported


def test_once_per_period_and_missed_ones_are_made_up_for(place: Path) -> None:
    file = configure(place)
    assert go(file, MONDAY + 1)[0] == 0
    assert sorted(p.name for p in (place / "out").glob("2026*")) == ["2026-W38"]
    before = {p: p.stat().st_mtime_ns for p in (place / "out" / "2026-W38").iterdir()}
    code, reported = go(file, MONDAY + 3 * DAY)
    assert (code, reported.events()) == (0, ["finished"])
    assert {p: p.stat().st_mtime_ns for p in (place / "out" / "2026-W38").iterdir()} == before
    code, reported = go(file, MONDAY + 2 * WEEK + DAY)
    assert [fields["period"] for event, fields in reported if event == "report"] == ["2026-W39", "2026-W40"]
    page = (place / "out" / "index.html").read_text()
    assert all(f'href="{name}/index.html"' in page for name in ("2026-W38", "2026-W39", "2026-W40"))
    [errors, _] = json.loads((place / "out" / "2026-W40" / "report.json").read_text())["slos"]
    assert errors["events"] == {"total": 80640, "good": 76608, "errors": 4032, "allowed_errors": 806.4}


def test_a_report_goes_on_where_the_one_before_ended(place: Path) -> None:
    """What it says of the week before is what was said then, also from the ledger once the samples are gone."""
    file = configure(place, ledger="ledger", time_zone="Europe/Berlin")
    go(file, MONDAY + 1)
    record(place, MONDAY - 2 * DAY, MONDAY + 2 * WEEK)
    go(file, MONDAY + WEEK + 1)
    before, after = (
        json.loads((place / "out" / week / "report.json").read_text()) for week in ("2026-W38", "2026-W39")
    )
    for then, now in zip(before["slos"], after["slos"], strict=True):
        assert now["earlier"]["end"] == then["end"] == "2026-09-20T22:00:00Z"
        if now["slo"] == "shop/errors":  # of the ledger's two weeks no more can be known
            assert now["earlier"]["coverage"] < then["coverage"]
            assert now["earlier"]["remaining"] == pytest.approx(then["error_budget"]["remaining"], rel=1e-3)
    file = configure(place)
    go(file, MONDAY + 2 * WEEK + 1)
    page = (place / "out" / "2026-W40" / "index.html").read_text()
    assert "since 28 Sep" in page


@pytest.mark.parametrize(
    ("zone", "period", "now", "start", "end", "hours"),
    [
        ("America/Los_Angeles", "month", "2027-04-01T08:00", "2027-03-01T08:00", "2027-04-01T07:00", 743),
        ("Europe/Berlin", "month", "2027-04-01T00:30", "2027-02-28T23:00", "2027-03-31T22:00", 743),
        ("Europe/Berlin", "month", "2027-11-01T00:00", "2027-09-30T22:00", "2027-10-31T23:00", 745),
        ("Europe/Berlin", "week", "2027-03-28T22:00", "2027-03-21T23:00", "2027-03-28T22:00", 167),
        ("Asia/Kathmandu", "week", "2027-03-30T00:00", "2027-03-21T18:15", "2027-03-28T18:15", 168),
        ("America/New_York", "quarter", "2027-04-01T12:00", "2027-01-01T05:00", "2027-04-01T04:00", 2159),
        ("UTC", "month", "2027-04-01T08:00", "2027-03-01T00:00", "2027-04-01T00:00", 744),
    ],
)
def test_a_report_is_on_the_period_of_its_title(
    tmp_path: Path, zone: str, period: str, now: str, start: str, end: str, hours: int
) -> None:
    """100 events each 5 m; bad ones in the first and the last step of the period, and more in those alongside it."""
    first, last, at = (round(datetime.fromisoformat(f"{text}Z").timestamp()) * 1000 for text in (start, end, now))
    times = np.arange(first - 40 * DAY, max(at, last + HOUR) + 1, STEP)
    bad = np.zeros(len(times))
    planted = {first: 40, first + STEP: 3, last: 5, last + STEP: 50}  # a step counts at its end
    for moment, count in planted.items():
        bad[times == moment] = count
    rows = [
        ({"__name__": "r_total", "job": "j", "instance": "i", "code": code}, times, values)
        for code, values in (("200", 100.0 * np.arange(len(times)) - np.cumsum(bad)), ("500", np.cumsum(bad)))
    ]
    write(tmp_path / "r.parquet", Samples.from_series(rows), Header(int(times[0]), int(times[-1]), "a test"))
    sli = "sli: {ratio: {errors: 'r_total{code=\"500\"}', total: r_total}}"
    (tmp_path / "shop.yaml").write_text(
        "service: shop\ndefaults: {scrape_interval: 5m}\nslos:\n"
        f"  - {{name: calendar, objective: 99, window: {period}, {sli}}}\n"
        f"  - {{name: rolling, objective: 99, window: 7d, {sli}}}\n"
    )
    config = configure(tmp_path, time_zone=zone, period=period, ledger="ledger", formats="[html, markdown, json, csv]")
    assert go(config, at)[0] == 0
    [folder] = [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    slos = {entry["name"]: entry for entry in json.loads((folder / "report.json").read_text())["slos"]}
    calendar, rolling = slos["calendar"], slos["rolling"]
    assert (calendar["start"], calendar["end"]) == (f"{start}:00Z", f"{end}:00Z")
    assert (calendar["events"]["total"], calendar["events"]["errors"]) == (hours * 1200, 8)
    assert calendar["time_zone"] == zone and rolling["time_zone"] is None
    # A rolling window ends with the report, and neither reads on.
    assert (rolling["end"], rolling["events"]["total"]) == (f"{end}:00Z", 7 * 24 * 1200)
    within = [count for moment, count in planted.items() if last - 7 * DAY < moment <= last]
    assert rolling["events"]["errors"] == sum(within)
    # The period before ends where this begins.
    assert calendar["previous"]["end"] == calendar["start"]
    assert calendar["previous"]["events"]["errors"] == 40
    [row] = [line for line in (folder / "report.csv").read_text().splitlines() if line.startswith("shop,calendar")]
    assert f",{start}:00Z,{end}:00Z,{hours * 1200}.0,8.0," in row
    page = (folder / "index.html").read_text()
    assert f"<b>{hours * 1200:,}</b>" in page and f"{folder.name}, " in page
    # Rules know months of UTC only; the rolling window's PromQL stays.
    assert page.count("Budget remaining, from the recorded rules") == (2 if zone == "UTC" else 1)


def test_the_index_shows_trends_over_the_periods(tmp_path: Path) -> None:
    """By hand: left 80 %, 20 %, exhausted by half; and an objective that came late."""
    for name, lefts in (("2026-W36", {"a": 0.8}), ("2026-W37", {"a": 0.2}), ("2026-W38", {"a": -0.5, "b": None})):
        (tmp_path / name).mkdir()
        slos = [
            {"slo": slo, "state": "exhausted" if left and left < 0 else "healthy", "error_budget": {"remaining": left}}
            for slo, left in lefts.items()
        ]
        (tmp_path / name / "report.json").write_text(
            json.dumps({"slos": slos, "missing": "x" if name[-1] == "7" else None})
        )
    page = index_page(tmp_path, ["2026-W36", "2026-W37", "2026-W38"], "Weeks <1>")
    assert 'd="M20 5L60 16L100 28"' in page and 'd="M0 19h120"' in page
    assert "−70.0 points" in page and "Weeks &lt;1&gt;" in page
    assert page.count('<svg class="spark"') == 1
    assert page.count("missing data") == 1 and "2026-W37<br>" in page  # it has no page of its own
    assert re.findall(r"<th scope=\"row\">b</th>(.*?)</tr>", page)[0].count("n/a") == 4  # three weeks and a change
    # The worst first, in a word and a colour; the newest week first.
    assert re.findall(r'<tr class="([a-z-]+)"><th scope="row">(\w)</th>', page) == [
        ("exhausted", "a"),
        ("healthy", "b"),
    ]
    assert page.index("2026-W38") < page.index("2026-W37<br>") < page.index("2026-W36")
    assert (
        '<span class="state"><svg class="icon" aria-hidden="true"><use href="#i-exhausted"/></svg>Exhausted</span>'
        in page
    )


def test_the_index_leads_to_each_slos_page_and_its_trend_is_a_years(tmp_path: Path) -> None:
    names = [f"2026-W{week:02}" for week in range(1, 21)]
    for number, name in enumerate(names):
        (tmp_path / name / "slos").mkdir(parents=True)
        slos = [
            {"slo": slo, "state": "healthy", "error_budget": {"remaining": 0.9 - number / 40}}
            for slo in ("shop/a", "shop/b")
        ]
        (tmp_path / name / "report.json").write_text(json.dumps({"slos": slos}))
        (tmp_path / name / "index.html").write_text("x")
    (tmp_path / names[-1] / "slos" / "slo-shop-a.html").write_text("x")
    page = index_page(tmp_path, names, "Weeks")
    assert '<a href="2026-W20/slos/slo-shop-a.html">shop/a</a>' in page
    assert '<a href="2026-W20/index.html#slo-shop-b">shop/b</a>' in page
    assert (
        "20 periods" in page and len(re.findall("[ML]", re.findall(r'class="spark-line" d="([^"]+)"', page)[0])) == 20
    )
    assert [name in page for name in names[-6:]] == [True] * 6 and "2026-W14" not in page.split("</thead>")[0]


def test_what_was_missed_is_bounded(place: Path) -> None:
    file = configure(place, catch_up="2")
    go(file, MONDAY - 3 * WEEK + 1)
    _, reported = go(file, MONDAY + 1)
    assert [fields["period"] for event, fields in reported if event == "report"] == ["2026-W37", "2026-W38"]


def test_a_source_that_is_down_is_missing_data_and_made_up_for(place: Path) -> None:
    (place / "r.parquet").rename(place / "away")
    got: list[str] = []

    def receive(path: str, body: bytes) -> str:
        got.append(json.loads(body)["text"])
        return ""

    with Web(receive) as web:
        env = {"HOOK": f"http://{web.address}/secret"}
        file = configure(place, deliver="{folder: out, webhook: {url_env: HOOK, link: 'https://slo.example.com/'}}")
        code, reported = go(file, MONDAY + 1, env)
        assert code == 1
        assert reported.events() == ["source failed"] * 3 + ["report", "delivered", "finished"]
        report = json.loads((place / "out" / "2026-W38" / "report.json").read_text())
        assert [(entry["state"], entry["sli"]) for entry in report["slos"]] == [("no data", None)] * 2
        assert "missing data" in (place / "out" / "2026-W38" / "index.html").read_text()
        # Said above all figures, wherever it is read.
        assert "no such recording" in report["missing"]
        assert 'class="missing"><strong>Missing data:' in (place / "out" / "2026-W38" / "index.html").read_text()
        assert got[0].splitlines()[4].startswith("*Missing data: what the source did not answer")
        assert go(file, MONDAY + 2, env)[0] == 1 and len(got) == 1  # reported once
        (place / "away").rename(place / "r.parquet")
        assert go(file, MONDAY + 3, env)[0] == 0
    report = json.loads((place / "out" / "2026-W38" / "report.json").read_text())
    assert report["slos"][0]["events"]["errors"] == 4032 and report["missing"] is None
    assert len(got) == 2 and "https://slo.example.com/2026-W38/" in got[1] and "|" not in got[1]


class Picky:
    """A source that cannot answer for one metric, as a server does for one that has too many samples."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def samples(self, selectors: Any, start_ms: int, end_ms: int) -> Any:
        if any(selector.name == "heavy_total" for selector in selectors):
            raise SourceError("query processing would load too many samples into memory")
        return self._source.samples(selectors, start_ms, end_ms)


def test_one_objective_that_cannot_be_read_leaves_the_others_their_data(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heavy = (
        "  - {name: heavy, objective: 99, sli: {ratio: {errors: 'heavy_total{code=\"500\"}', total: heavy_total}}}\n"
    )
    (place / "shop.yaml").write_text(DEFINITION.replace("slos:\n", f"slos:\n{heavy}"))
    opened = slo_source.open
    monkeypatch.setattr(job, "open_source", lambda *names, **more: Picky(opened(*names, **more)))
    file = configure(place, ledger="ledger")
    code, reported = go(file, MONDAY + 1)
    assert code == 1 and reported.events() == ["source failed"] * 3 + ["objective failed", "report", "finished"]
    report = json.loads((place / "out" / "2026-W38" / "report.json").read_text())
    states = {entry["slo"]: (entry["state"], entry["events"]["errors"]) for entry in report["slos"]}
    assert states["shop/heavy"] == ("no data", 0) and states["shop/errors"][1] == 4032
    assert report["missing"].startswith("1 of 3 SLOs (shop/heavy): query processing would load too many samples")
    assert Ledger(place / "ledger").entry("shop/errors", MONDAY - WEEK, MONDAY).errors.sum() == 1008
    monkeypatch.setattr(job, "open_source", opened)
    assert go(file, MONDAY + 2)[0] == 0  # made up for
    assert json.loads((place / "out" / "2026-W38" / "report.json").read_text())["missing"] is None


class Smtp(socketserver.ThreadingTCPServer):
    """Takes messages as RFC 5321 has it, as far as smtplib asks."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, refuse: str = "") -> None:
        self.messages: list[str] = []
        self.refuse = refuse
        self.strangers: set[str] = set()
        self.taken: list[list[str]] = []  # of each message whom it was taken for
        super().__init__(("127.0.0.1", 0), _Smtp)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Smtp(socketserver.StreamRequestHandler):
    server: Smtp

    def handle(self) -> None:
        self.wfile.write(b"220 sink\r\n")
        taken: list[str] = []
        while line := self.rfile.readline():
            command = line.split(b":")[0].strip().upper()
            if command == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                body = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    body += part
                self.server.messages.append(body.decode())
                self.server.taken.append(taken)
                self.wfile.write(b"250 taken\r\n")
            elif command == self.server.refuse.encode():
                self.wfile.write(b"550 not here\r\n")
            elif command == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            elif command == b"RCPT TO":
                address = line.strip().partition(b":")[2].strip(b"<>").decode()
                known = address not in self.server.strangers
                taken += [address] if known else []
                self.wfile.write(b"250 fine\r\n" if known else b"550 who is that?\r\n")
            else:
                self.wfile.write(b"250 fine\r\n")


@contextmanager
def smtp(refuse: str = "") -> Iterator[Smtp]:
    with Smtp(refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_each_delivery_fails_by_itself_and_is_repeated_alone(place: Path) -> None:
    got: list[str] = []
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        free = closed.getsockname()[1]
    email = "email: {host: 127.0.0.1, port: %d, security: none, from: slo@example.com, to: [team@example.com]}"

    def receive(path: str, body: bytes) -> str:
        got.append(path)
        return ""

    with Web(receive) as web, smtp() as sink:
        env = {"HOOK": f"http://{web.address}/T0KEN"}
        file = configure(place, deliver="{folder: out, webhook: {url_env: HOOK}, %s}" % (email % free))
        code, reported = go(file, MONDAY + 1, env)
        assert code == 1 and len(got) == 1
        [(_, fields)] = [event for event in reported if event[0] == "delivery failed"]
        assert fields["to"] == "email" and str(free) in fields["error"]
        file = configure(place, deliver="{folder: out, webhook: {url_env: HOOK}, %s}" % (email % sink.port))
        code, reported = go(file, MONDAY + 2, env)
        assert code == 0 and len(got) == 1  # the webhook had it already
        [message] = sink.messages
    assert "Subject: Error budgets: 2026-W38" in message and "error-budgets.html" in message
    assert "T0KEN" not in json.dumps(reported) and not any(
        "T0KEN" in p.read_text() for p in (place / "out").rglob("*.*")
    )


def test_a_folder_of_pages_is_mailed_as_one_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slo.report.page.FOLDER_FROM", 2)
    with smtp() as sink:
        email = (
            f"email: {{host: 127.0.0.1, port: {sink.port}, security: none, from: a@example.com, to: [b@example.com]}}"
        )
        assert go(configure(place, deliver=f"{{folder: out, {email}}}"), MONDAY + 1)[0] == 0
        [text] = sink.messages
    [attached] = message_from_string(text, policy=policy.default).iter_attachments()
    assert attached.get_filename() == "error-budgets.zip"
    with zipfile.ZipFile(io.BytesIO(attached.get_content())) as archive:
        names = archive.namelist()
        index = archive.read("index.html").decode()
    assert names == ["index.html", "slos/slo-shop-errors.html", "slos/slo-shop-quarterly.html"]
    assert all(f'href="{name}"' in index for name in names[1:])


@pytest.mark.parametrize("refuse", ["MAIL FROM", "RCPT TO"])
def test_a_refused_message_is_a_failure(place: Path, refuse: str) -> None:
    with smtp(refuse) as sink:
        email = (
            f"email: {{host: 127.0.0.1, port: {sink.port}, security: none, from: a@example.com, to: [b@example.com]}}"
        )
        code, reported = go(configure(place, deliver=f"{{folder: out, {email}}}"), MONDAY + 1)
    assert code == 1 and "delivery failed" in reported.events()


def test_who_was_refused_gets_it_later_and_nobody_twice(place: Path) -> None:
    def deliver(sink: Smtp, to: str) -> str:
        return f"{{folder: out, email: {{host: 127.0.0.1, port: {sink.port}, security: none, from: a@example.com, to: [{to}]}}}}"

    with smtp() as sink:
        file = configure(place, deliver=deliver(sink, "One <one@example.com>, two@example.com, one@example.com"))
        sink.strangers = {"two@example.com"}
        code, reported = go(file, MONDAY + 1)
        assert code == 1 and reported.events() == ["report", "delivery failed", "finished"]
        [said] = [fields["error"] for event, fields in reported if event == "delivery failed"]
        assert "did not take two@example.com;" in said and "one@" not in said
        assert sink.taken == [["one@example.com"]]
        assert "example.com" not in (place / "out" / "state.json").read_text()  # it may be served
        assert go(file, MONDAY + 2)[0] == 1  # nobody has it who had it not
        assert sink.taken == [["one@example.com"]]
        sink.strangers = set()
        assert go(file, MONDAY + 3)[1].events() == ["delivered", "finished"]
        assert sink.taken == [["one@example.com"], ["two@example.com"]]
        # Later changes of the list do not send old reports to anybody.
        file = configure(place, deliver=deliver(sink, "three@example.com"))
        assert go(file, MONDAY + 4) == (0, [("finished", {"reports": 0, "pending": 0, "exit_code": 0})])


def test_who_is_taken_off_the_list_is_waited_for_no_longer(place: Path) -> None:
    with smtp() as sink:
        sink.strangers = {"gone@example.com"}
        for to, expected in (("one@example.com, gone@example.com", 1), ("one@example.com", 0)):
            email = f"{{host: 127.0.0.1, port: {sink.port}, security: none, from: a@example.com, to: [{to}]}}"
            assert go(configure(place, deliver=f"{{folder: out, email: {email}}}"), MONDAY + 1)[0] == expected
        assert sink.taken == [["one@example.com"]]


def test_secrets_are_named_never_shown(place: Path) -> None:
    file = configure(place, deliver="{folder: out, webhook: {url_env: HOOK}}")
    for env, expected in (
        ({}, "the environment variable HOOK is not set"),
        ({"HOOK": "T0KEN"}, "HOOK holds no http(s) address"),
        ({"HOOK": "http://127.0.0.1:9/T0KEN"}, "webhook of HOOK cannot be reached"),
    ):
        code, reported = go(file, MONDAY + 1, env)
        assert code == 1
        assert expected in json.dumps(reported) and "T0KEN" not in json.dumps(reported)


KILLED = """\
import os, signal, sys
from slo.weekly import read_config, run
file, now, at = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
calls, replace = 0, os.replace
def counted(*names, **more):
    global calls
    calls += 1
    if calls == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(*names, **more)
os.replace = counted
run(read_config(file), now, lambda *line: None)
"""


def test_killed_at_any_point_the_last_good_reports_stay_and_the_next_run_finishes(place: Path) -> None:
    """Before each file takes its place: ledger, report by report, the state, the index, the metrics."""
    file = configure(place, ledger="ledger", metrics="slo.prom", formats="[html, csv]")
    assert go(file, MONDAY + 1)[0] == 0
    good = {p: p.read_bytes() for p in (place / "out" / "2026-W38").iterdir()}
    kept = {p: p.read_bytes() for p in (*(place / "out").glob("*.*"), *(place / "ledger").rglob("*.parquet"))}
    # `make slow` kills before each of them, otherwise at every sixth.
    points, apart = 0, 1 if "SLO_SLOW" in os.environ else 6
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    while True:
        command = [sys.executable, "-c", KILLED, str(file), str(MONDAY + WEEK + 1), str(points + 1)]
        ended = subprocess.run(command, env=environment, check=False).returncode
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        points += apart
        assert {p: p.read_bytes() for p in good} == good
        json.loads((place / "out" / "state.json").read_text())
        assert "<html" in (place / "out" / "index.html").read_text()
        # As it was before: the same week is due again.
        for new in ((place / "out" / "2026-W39"), (place / "ledger")):
            for path in new.rglob("*"):
                assert path.name.startswith(".") or path.stat().st_size > 0
        for path, content in kept.items():
            path.write_bytes(content)
    assert points >= 7
    assert sorted(p.name for p in (place / "out" / "2026-W39").glob("[!.]*")) == ["index.html", "report.csv", "report.json", "report.md"]  # fmt: skip
    assert go(file, MONDAY + WEEK + 2)[1].events() == ["finished"]


def test_two_at_once_are_refused(place: Path) -> None:
    import fcntl

    file = configure(place)
    go(file, MONDAY + 1)
    with (place / "out" / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another run is at work"):
            go(file, MONDAY + WEEK)


def test_the_ledger_outlives_what_the_server_keeps(place: Path) -> None:
    """The source keeps 15 days; after seven weeks the budget of 90 d still counts all of them."""
    file = configure(place, ledger="ledger")
    for week in range(-4, 3):
        at = MONDAY + week * WEEK
        record(place, at - 15 * DAY, at)
        assert go(file, at + 1)[0] == 0
    report = json.loads((place / "out" / "2026-W40" / "report.json").read_text())
    quarterly = report["slos"][1]
    assert quarterly["name"] == "quarterly"
    # From the first report's week on: seven weeks, less the first step of the first recording.
    assert quarterly["events"]["total"] == pytest.approx(7 * 7 * 2880, abs=20)
    assert quarterly["events"]["errors"] == pytest.approx(7 * 7 * 144, abs=2)
    assert any(note["code"] == "ledger" for note in quarterly["notes"])
    assert quarterly["coverage"] == pytest.approx(49 / 90, abs=0.01)
    without = configure(place, deliver="{folder: other}")
    go(without, MONDAY + 2 * WEEK + 1)
    alone = json.loads((place / "other" / "2026-W40" / "report.json").read_text())["slos"][1]
    assert alone["events"]["total"] == pytest.approx(15 * 2880, abs=20)


def test_a_years_budget_from_a_server_that_keeps_days(place: Path) -> None:
    """A calendar year's budget counts every week since the job began, to the event."""
    (place / "shop.yaml").write_text(DEFINITION.replace("window: 90d", "window: year"))
    file = configure(place, ledger="ledger")
    for week in range(-8, 3, 2):  # runs are missed, and made up for
        at = MONDAY + week * WEEK
        record(place, at - 20 * DAY, at)
        assert go(file, at + 1)[0] == 0
    report = json.loads((place / "out" / "2026-W40" / "report.json").read_text())["slos"][1]
    assert (report["window"], report["start"], report["end"]) == (
        "year",
        "2026-01-01T00:00:00Z",
        "2026-10-05T00:00:00Z",
    )
    assert report["events"]["total"] == pytest.approx(11 * 7 * 2880, abs=20)
    assert report["events"]["errors"] == pytest.approx(11 * 7 * 144, abs=2)
    assert report["coverage"] == pytest.approx(77 / 277, abs=0.01)
    page = (place / "out" / "2026-W40" / "index.html").read_text()
    assert "Budget consumed per week" in page and "this calendar year" in page


@pytest.mark.server
def test_its_metrics_are_what_promtool_accepts(place: Path) -> None:
    import subprocess as sp

    from tests.servers import binary

    go(configure(place, metrics="slo.prom"), MONDAY + 1)
    done = sp.run([str(binary("promtool")), "check", "metrics"], input=(place / "slo.prom").read_bytes(), capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"slo_weekly_last_run_success 1\n" in (place / "slo.prom").read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"perod": "week"}, "unknown key `perod`; did you mean `period`?"),
        ({"period": "day"}, "accepted is 'week', 'month' or 'quarter'"),
        ({"time_zone": "Berlin"}, "'Berlin' is not a valid time zone; did you mean `Europe/Berlin`?"),
        ({"catch_up": "many"}, "is not a valid number from 1 to 520"),
        ({"deliver": "{folder: out, webhook: {url: 'http://x'}}"}, "unknown key `url`"),
        ({"deliver": "{folder: out, email: {host: h, from: a, to: []}}"}, "must hold at least one entry"),
        ({"deliver": "{folder: out, email: {host: h, from: a, to: [b], security: none, password_env: P}}"}, "encrypted connection only"),
        ({"source": "http://user:pass@host/"}, "holds a credential"),
    ],
)  # fmt: skip
def test_faults_of_the_configuration_say_where(place: Path, more: dict[str, str], message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        read_config(configure(place, **more))
    assert message in str(error.value) and "weekly.yaml:" in str(error.value)
    assert "user:pass" not in str(error.value)


def test_from_the_shell(place: Path) -> None:
    file = configure(place)
    done = slo("weekly", file, "--now", "2026-09-21T00:00:01Z")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["report", "finished"]
    file.write_text("definitions: [shop.yaml]\n")
    done = slo("weekly", file)
    assert done.returncode == 2 and "`source` is missing" in done.stderr


def test_an_invalid_objective_is_reported_as_such_and_never_kept(place: Path) -> None:
    """More errors than events: the total matches other series than the errors do."""
    with (place / "shop.yaml").open("a") as definitions:
        definitions.write(
            "  - {name: wrong, objective: 99, window: 7d, "
            "sli: {ratio: {errors: r_total, total: 'r_total{code=\"500\"}'}}}\n"
        )
    file = configure(place, ledger="ledger", formats="[html, markdown, json, csv]")
    code, reported = go(file, MONDAY + 1)
    assert code == 0  # the report is made and delivered: nothing is left for another run
    [report] = [fields for event, fields in reported if event == "report"]
    assert report["invalid"] == ["shop/wrong"]
    folder = place / "out" / "2026-W38"
    [wrong] = [entry for entry in json.loads((folder / "report.json").read_text())["slos"] if entry["name"] == "wrong"]
    assert (wrong["state"], wrong["sli"], wrong["events"]["errors"]) == ("invalid", None, None)
    assert wrong["notes"][0]["code"] == "impossible"
    [row] = re.findall(
        r'<th scope="row">(?:<a[^>]*>)?shop/wrong(?:</a>)?</th>(.*?)</tr>', (place / "out" / "index.html").read_text()
    )
    assert "n/a" in row and "invalid" in row and "100%" not in row
    held = Ledger(place / "ledger").counted(MONDAY - WEEK, MONDAY)
    assert set(held["2026-W38"]) == {"shop/errors", "shop/quarterly"}
