"""Several sources in one run, SQL as a source, and a status that is watched."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import slo
from slo.check import check_source
from slo.cli.main import run
from slo.promql.samples import Samples
from slo.source import open_all
from slo.source.config import sources
from slo.source.prometheus import PrometheusSource
from slo.source.recording import Header, write
from slo.source.several import Several, combined
from slo.spec.select import Selection, select
from slo.window import DAY, HOUR, MINUTE, moment
from tests.memory import Memory, Server

END = 1_790_000_000_000 // DAY * DAY
SPECS = slo.load("""
service: shop
slos:
  - {name: errors, objective: 99, window: 1d, sli: {ratio: {errors: 'e_total', total: t_total}}}
---
service: till
slos:
  - {name: up, objective: 99, window: 1d, sli: {probe: 'up{job="till"}'}}
""")


def shop(bad: int = 3) -> Samples:
    """Two days of 10 events a minute, of which some fail for the last hour."""
    times = np.arange(END - 2 * DAY, END + 1, MINUTE, dtype=np.int64)
    labels = {"job": "shop", "instance": "a"}
    return Samples.from_series([
        ({"__name__": "t_total", **labels}, times, 10.0 * np.arange(len(times))),
        ({"__name__": "e_total", **labels}, times, np.cumsum((times > END - HOUR) * float(bad))),
    ])  # fmt: skip


def till() -> Samples:
    times = np.arange(END - 2 * DAY, END + 1, 30_000, dtype=np.int64)
    return Samples.from_series([({"__name__": "up", "job": "till", "instance": "b"}, times, np.ones(len(times)))])


def named(source: Memory, name: str) -> Memory:
    source.name = name
    return source


@pytest.mark.parametrize("kind", [Memory, Server])
def test_each_slo_is_asked_of_the_source_that_has_it(kind: type[Memory]) -> None:
    """60 minutes of 3 bad events are 180; no figure differs from that of its source alone."""
    first, second = named(kind(shop(), END), "first"), named(kind(till(), END), "second")
    review = slo.review(SPECS, combined([("", first), ("", second)]), since="1d")
    assert review["shop/errors"].errors == 180 and review["till/up"].sli == 1.0
    assert [budget.source for budget in review] == ["first", "second"] and review.source == "first, second"
    for budget, alone in zip(review, (first, second), strict=True):
        assert budget.to_dict() == slo.review([budget.slo], alone, since="1d")[0].to_dict()


def test_what_two_sources_have_is_not_added_up() -> None:
    both = combined([("", named(Memory(shop(), END), "a")), ("", named(Memory(shop(5), END), "b"))])
    with pytest.raises(
        slo.SourceError, match=r"^shop/errors: a and b both have its series.*say which with --source shop=…"
    ):
        slo.review(SPECS, both)
    chosen = combined(
        [("", Memory(till(), END)), ("shop", named(Memory(shop(5), END), "b")), ("", Memory(shop(), END))]
    )
    review = slo.review(SPECS, chosen)
    assert review["shop/errors"].errors == 300 and review["shop/errors"].source == "b"


@pytest.mark.parametrize("pattern", ["shop", "shop/errors", "sh*", "*/errors", "*"])
def test_a_source_is_named_by_service_or_slo(pattern: str) -> None:
    source = combined([(pattern, named(Memory(shop(), END), "b")), ("", named(Memory(till(), END), "rest"))])
    assert isinstance(source, Several)
    assert source.of(SPECS["shop/errors"]).name == "b"
    assert source.of(SPECS["till/up"]).name == ("b" if pattern == "*" else "rest")


def test_without_a_source_for_it_an_slo_is_an_error_and_without_data_it_has_none() -> None:
    with pytest.raises(slo.SourceError, match="till/up: no source is named for it; there are some for shop, store"):
        slo.review(SPECS, combined([("shop", Memory(shop(), END)), ("store", Memory(shop(), END))]))
    empty = Samples.from_series([])
    review = slo.review([SPECS["till/up"]], combined([("", Memory(empty, END)), ("", Memory(empty, END))]))
    assert review[0].state is slo.State.NO_DATA


def test_they_are_evaluated_where_all_have_data() -> None:
    source = combined([("", Memory(shop(), END)), ("", Memory(till(), END - HOUR))])
    assert slo.review(SPECS, source).at == moment(END - HOUR)


def test_counted_events_and_servers_go_together() -> None:
    times = pd.date_range(moment(END - DAY), moment(END), freq="5min", inclusive="left")
    events = slo.from_events(
        pd.DataFrame({"time": times, "total": 100, "good": 99, "slo": "shop/errors"}), good="good", slo="slo"
    )
    review = slo.review(SPECS, combined([("", events), ("", Memory(till(), END))]))
    assert review["shop/errors"].errors == 288 and review["till/up"].sli == 1.0


def test_a_recording_of_several_has_the_samples_of_all(tmp_path: Path) -> None:
    source = combined([("", Memory(shop(), END)), ("", Memory(till(), END))])
    saved = slo.record(SPECS, source, tmp_path / "r.parquet", start="2d")
    assert [budget.errors for budget in slo.review(SPECS, saved)] == [180, 0]
    joined = source.samples([selector for spec in SPECS.values() for selector in spec.sli.selectors()], END - DAY, END)
    assert len(joined.series) == 3
    twice = slo.load(
        {
            "service": "copy",
            "slos": [
                {
                    "name": "errors",
                    "objective": 99,
                    "window": "1d",
                    "sli": {"ratio": {"errors": "e_total", "total": "t_total"}},
                }
            ],
        }
    )
    halves = combined([("shop", named(Memory(shop(), END), "a")), ("*", named(Memory(shop(5), END), "b"))])
    with pytest.raises(slo.SourceError, match=r"a and b both have .*which one recording cannot tell apart"):
        slo.record((SPECS | twice).values(), halves, tmp_path / "t.parquet", start="1d")
    with pytest.raises(slo.SourceError, match="is answered by one source; name one only for this"):
        source.query(SPECS["shop/errors"].sli.selectors()[0], END)


def on_disk(folder: Path) -> tuple[Path, Path]:
    for name, samples in (("shop", shop()), ("till", till())):
        write(folder / f"{name}.parquet", samples, Header(END - 2 * DAY, END, "test"))
    (folder / "all.yaml").write_text(
        "service: shop\nslos:\n  - {name: errors, objective: 99, window: 1d, sli: {ratio: {errors: 'e_total', total: t_total}}}\n"
        "---\nservice: till\nslos:\n  - {name: up, objective: 99, window: 1d, sli: {probe: 'up{job=\"till\"}'}}\n"
    )
    return folder / "shop.parquet", folder / "till.parquet"


def test_the_command_line_takes_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = on_disk(tmp_path)
    monkeypatch.delenv("SLO_SOURCE", raising=False)
    monkeypatch.delenv("SLO_CONFIG", raising=False)
    definitions = str(tmp_path / "all.yaml")
    (tmp_path / "slo.yaml").write_text("sources:\n  shop: shop.parquet\n  '*': {url: till.parquet, timeout: 5s}\n")
    tables = []
    for flags in (
        ["-s", str(first), "-s", str(second)],
        ["-s", f"shop={first}", "-s", f"till={second}"],
        ["--config", str(tmp_path / "slo.yaml")],
    ):
        assert run(["status", definitions, *flags]) == 0
        tables.append(capsys.readouterr().out)
        assert "shop/errors" in tables[-1] and "till/up" in tables[-1] and "no data" not in tables[-1]
    assert len(set(tables)) == 1
    assert run(["status", definitions]) == 2
    assert "no source: give --source URL or FILE, set SLO_SOURCE, or name `sources`" in capsys.readouterr().err
    monkeypatch.setenv("SLO_SOURCE", str(first))
    assert run(["status", definitions, "--slo", "errors"]) == 0
    both = [part for place in (first, second) for part in ("-s", str(place))]
    assert run(["record", definitions, *both, "--start", "1d", "-o", str(first)]) == 2
    assert "is read by this command, and would be lost" in capsys.readouterr().err
    (tmp_path / "weekly.yaml").write_text(
        "definitions: [all.yaml]\nsource: null\nsource_config: slo.yaml\nperiod: week\ncatch_up: 1\ndeliver: {folder: weekly}\nformats: [csv]\n"
    )
    assert run(["weekly", str(tmp_path / "weekly.yaml"), "--now", f"{moment(END):%Y-%m-%d}"]) == 0
    [weekly] = (tmp_path / "weekly").glob("*/report.csv")
    assert weekly.read_text().count("\n") == 3
    assert run(["report", definitions, *both, "-o", str(tmp_path / "out"), "--format", "csv"]) == 0
    assert (tmp_path / "out" / "report.csv").read_text().count("\n") == 3


def test_python_takes_several(tmp_path: Path) -> None:
    first, second = on_disk(tmp_path)
    for source in (slo.open([first, second]), slo.open({"shop": first, "*": second})):
        assert [budget.errors for budget in slo.review(SPECS, source)] == [180, 0]
    assert slo.open([first]).name == str(first) and slo.open({"*": first}).name == str(first)


# Credentials


@pytest.mark.parametrize(
    "environ", [{"SLO_BEARER_TOKEN": "s3cret"}, {"SLO_BASIC_USER": "me"}, {"SLO_HEADERS": "X-Scope-OrgID: a"}]
)
def test_a_credential_is_not_sent_to_several_servers(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLO_CONFIG", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for texts in (["http://a:9090", "http://b:9090"], ["shop=http://a:9090", "b:9090"]):
        with pytest.raises(
            slo.ConfigError, match="would be sent to all of them; name the servers under `sources`"
        ) as raised:
            open_all(texts)
        assert "s3cret" not in str(raised.value)
    assert open_all(["http://a:9090"]).name == "http://a:9090"


def test_each_server_of_the_file_has_its_own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLO_BEARER_TOKEN", "of-the-environment")
    (tmp_path / "token").write_text("abc")
    (tmp_path / "slo.yaml").write_text(
        "sources:\n  shop: {url: 'http://a:9090', bearer_token_file: token, timeout: 5s}\n  '*': http://b:9090\n"
    )
    shop_source, rest = sources(tmp_path / "slo.yaml")
    assert (shop_source.of, shop_source.address) == ("shop", "http://a:9090")
    assert (shop_source.config.bearer_token_file, shop_source.config.timeout_s) == (tmp_path / "token", 5.0)
    assert (rest.of, rest.config.has_credentials) == ("*", False)
    opened = open_all([], config=tmp_path / "slo.yaml")
    assert isinstance(opened, Several) and all(isinstance(part.source, PrometheusSource) for part in opened.parts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sources: [http://a]", "sources: a mapping of services to addresses is expected"),
        ("sources: {shop: {timeout: 5s}}", "sources.shop: `url` is missing"),
        ("sources: {shop: {url: 'http://a', tokn: x}}", "sources.shop: unknown key `tokn`"),
        ("sourcess: {}", "unknown key `sourcess`; did you mean `sources`"),
    ],
)
def test_faults_of_the_files_sources_are_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "slo.yaml").write_text(text)
    with pytest.raises(slo.ConfigError, match=said):
        sources(tmp_path / "slo.yaml")


# Watching


def test_a_watched_status_is_shown_again_and_survives_failures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = on_disk(tmp_path)
    waits: list[float] = []
    latest = iter([END - HOUR, None, END])
    now: list[int | None] = []

    class Failing(Memory):
        """Fails the second time."""

        def latest_ms(self) -> int:
            now.append(next(latest))
            if now[-1] is None:
                raise slo.SourceError("connection refused")
            return now[-1]

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr("slo.cli.status.open_sources", lambda *_: Failing(shop(20), END))
    definitions = str(tmp_path / "all.yaml")
    code = run(["status", definitions, "-s", str(first), "--service", "shop", "--watch", "10s", "--fail-on-exhausted"])
    said = capsys.readouterr()
    assert waits == [10, 10, 10] and said.out.count("shop/errors") == 2
    assert (
        f"memory at {moment(END - HOUR):%Y-%m-%d %H:%M:%S} UTC" in said.out and "error: connection refused" in said.err
    )
    assert code == 1  # of the last one: 1,200 of 14,400 are bad, and 144 may be


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--watch", "soon"], "--watch 'soon'"),
        (["--watch", "10ms"], "--watch 10ms is too often for a server; the least is 1s"),
        (["--watch", "10s", "--json"], "leave --json and --end out"),
        (["--watch", "10s", "--end", "2026-11-20"], "leave --json and --end out"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = on_disk(tmp_path)
    assert run(["status", str(tmp_path / "all.yaml"), "-s", str(first), *flags]) == 2
    assert said in capsys.readouterr().err


# SQL


def orders(folder: Path) -> None:
    """Orders of a day, one a minute, of which every hundredth failed, in a Parquet file."""
    times = pd.date_range(moment(END - DAY), moment(END), freq="1min", inclusive="left")
    frame = pd.DataFrame({"placed": times, "state": np.where(np.arange(len(times)) % 100 == 0, "failed", "done")})
    frame.to_parquet(folder / "orders.parquet")


SQL = """\
-- Orders per 5 minutes.
CREATE VIEW orders AS SELECT * FROM 'orders.parquet';
SELECT time_bucket(INTERVAL '5 minutes', placed) AS time, count(*) AS total,
       count(*) FILTER (state = 'failed') AS errors, 'shop/errors' AS slo
FROM orders GROUP BY ALL
"""


def test_a_sql_query_is_a_source(tmp_path: Path) -> None:
    """1,440 orders, of which 0, 100, … 1,400 failed: 15."""
    pytest.importorskip("duckdb")
    orders(tmp_path)
    (tmp_path / "orders.sql").write_text(SQL)
    budget = slo.evaluate(SPECS["shop/errors"], slo.open(tmp_path / "orders.sql"))
    assert (budget.errors, budget.total, budget.end) == (15, 1440, moment(END))


def test_the_query_and_the_file_in_the_docs_work(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    page = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
    (tmp_path / "orders").mkdir()
    orders(tmp_path / "orders")
    [query] = re.findall(r"^```sql\n(.*?)^```", page, re.M | re.S)
    (tmp_path / "orders.sql").write_text(query.replace("shop/orders", "shop/errors"))
    assert slo.evaluate(SPECS["shop/errors"], slo.open(tmp_path / "orders.sql")).errors == 15
    [text] = re.findall(r"^```yaml\n(# slo.yaml: slo status.*?)^```", page, re.M | re.S)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "shop").write_text("token")
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "billing.csv").write_text("time,total,good\n")
    (tmp_path / "slo.yaml").write_text(text)
    assert [(source.of, source.address) for source in sources(tmp_path / "slo.yaml")] == [
        ("billing", str(tmp_path / "events" / "billing.csv")),
        ("shop", "http://shop:9090"),
        ("*", "https://mimir.example.org/prometheus"),
    ]


def test_times_without_a_zone_are_utc_wherever_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("duckdb")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        for kind in ("TIMESTAMP", "TIMESTAMPTZ"):
            query = "SELECT KIND '2026-11-20' + i * INTERVAL '5 minutes' AS time, 10 AS total, 9 AS good FROM range(12) t(i)"
            (tmp_path / "t.sql").write_text(query.replace("KIND", kind))
            assert moment(slo.open(tmp_path / "t.sql").latest_ms()).isoformat() == "2026-11-20T01:00:00+00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT 1 AS total", "needs a column `good` or `errors`"),
        ("SELECT * FROM 'nowhere.parquet'", "No files found"),
        ("SELEC", "syntax error"),
        ("SELECT now() AS tme, 1 AS total, 1 AS good", "no column 'time'; did you mean `tme`"),
        ("SELECT NULL::TIMESTAMP AS time, 1 AS total, 1 AS good", "row 0 has no time"),
        ("", "gives no rows"),
    ],
)
def test_faults_of_a_query_name_its_file(text: str, said: str, tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    (tmp_path / "q.sql").write_text(text)
    with pytest.raises(slo.SourceError, match=rf"(?s)^{tmp_path / 'q.sql'}: .*{said}"):
        slo.open(tmp_path / "q.sql")


def test_without_duckdb_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    (tmp_path / "q.sql").write_text("SELECT 1")
    with pytest.raises(slo.ConfigError, match=r"SQL needs DuckDB; install it with `pip install 'slo\[duckdb\]'`"):
        slo.open(tmp_path / "q.sql")
    with pytest.raises(slo.SourceError, match="cannot be read: No such file"):
        slo.open(tmp_path / "none.sql")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Definitions and a recording for each of the two services."""
    (tmp_path / "both.yaml").write_text(
        "service: shop\nslos:\n"
        "  - {name: errors, objective: 99, window: 1d, scrape_interval: 1m, sli: {ratio: {errors: e_total, total: t_total}}}\n"
        "---\nservice: till\nslos:\n"
        "  - {name: up, objective: 99, window: 1d, sli: {probe: 'up{job=\"till\"}'}}\n"
    )
    for name, samples in (("shop", shop()), ("till", till())):
        write(tmp_path / f"{name}.parquet", samples, Header(END - 2 * DAY, END, "test"))
    return tmp_path


def test_check_asks_each_source_about_its_own_slos(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(two / name) for name in ("both.yaml", "shop.parquet", "till.parquet")]
    assert run(["check", files[0], "-s", files[1]]) == 1
    assert "till/up: `metric` matches no series" in capsys.readouterr().err
    assert run(["check", files[0], "-s", files[1], "-s", files[2]]) == 0
    assert "matches no series" not in capsys.readouterr().err
    # By name, and wrongly: the till's source is asked for the shop's series.
    assert run(["check", files[0], "-s", f"till={files[1]}", "-s", f"shop={files[2]}"]) == 1
    assert len(re.findall("matches no series", capsys.readouterr().err)) >= 2
    (two / "slo.yaml").write_text("sources: {shop: shop.parquet, till: till.parquet}\n")
    assert run(["check", files[0], "--config", str(two / "slo.yaml")]) == 0
    assert "matches no series" not in capsys.readouterr().err


class WithRules(Memory):
    """Samples, and a page of rules."""

    rules = '{"status": "success", "data": {"groups": []}}'

    def page(self, path: str) -> bytes | None:
        return self.rules.encode() if path == "/api/v1/rules" else None


def test_check_compares_the_rules_of_each_source_with_those_of_its_slos() -> None:
    """Neither server has any: the rules that are missing at one are those of the SLOs that are asked there."""
    sources = [named(WithRules(shop(), END), "first"), named(WithRules(till(), END), "second")]
    findings = [
        item for item in check_source(SPECS, combined([("", source) for source in sources])) if item.check == "rules"
    ]
    alone = [
        [item for item in check_source(select(SPECS, Selection(services=[name])), source) if item.check == "rules"]
        for name, source in zip(("shop", "till"), sources, strict=True)
    ]
    assert findings == [*alone[0], *alone[1]]
    assert len(findings) == 2 and all("none of the" in item.message for item in findings)


def test_backfill_has_a_folder_for_each_source(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(two / name) for name in ("both.yaml", "shop.parquet", "till.parquet")]
    end = ["--end", str(END // 1000), "--start", "3h"]
    out = two / "out"
    assert run(["backfill", files[0], "-s", files[1], "-s", files[2], "-o", str(out), *end]) == 0
    folders = sorted(path for path in out.iterdir())
    said = capsys.readouterr().err
    assert len(folders) == 2 and all(str(folder) in said for folder in folders)
    for folder, service, other in zip(folders, ("shop", "till"), ("till", "shop"), strict=True):
        alone = two / f"{service}-alone"
        assert (
            run(
                [
                    "backfill",
                    files[0],
                    "-s",
                    str(two / f"{service}.parquet"),
                    "--service",
                    service,
                    "-o",
                    str(alone),
                    *end,
                ]
            )
            == 0
        )
        held = {path.name: path.read_text() for path in folder.glob("*.om")}
        assert held == {path.name: path.read_text() for path in alone.glob("*.om")} != {}
        assert not any(f'="{other}"' in text for text in held.values())


def test_init_and_verify_refuse_several(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = str(two / "shop.parquet"), str(two / "till.parquet")
    assert run(["init", "-s", first, "-s", second]) == 2
    assert "slo init looks at one source; give one address, without SERVICE=" in capsys.readouterr().err
    assert run(["init", "-s", f"shop={first}"]) == 2
    assert "give one address, without SERVICE=" in capsys.readouterr().err
    assert run(["init", "-s", second]) == 0
