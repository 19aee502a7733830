"""A server that answers in any shape: a message that names the SLO and exit code 2, in bounded time, with nothing half written."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import resource
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from slo.cli import run
from slo.cli.output import say
from slo.source import http
from tests.cli.test_cli import GOOD
from tests.crash import child
from tests.source.hostile import Hostile, Request, reply, success
from tests.source.shapes import EXTRAS, LABELS, NOW, NUMBERS, TIMES, body, documents, figures, numbers
from tests.source.test_limits import ENDLESS, trickled

MORE = """\
  - name: latency
    objective: 99
    window: month
    sli: {latency: {histogram: d_seconds, threshold: 300ms}}
  - name: probe
    objective: 99
    sli: {probe: {metric: up}}
  - name: by
    objective: 99
    by: [code]
    sli: {ratio: {good: r_good, total: r_total}}
"""
SLOTH = """\
version: prometheus/v1
service: sloth
slos:
  - name: requests
    objective: 99
    sli:
      events:
        error_query: sum(rate(r_total{code=~"5.."}[{{.window}}]))
        total_query: sum(rate(r_total[{{.window}}]))
    alerting: {name: Burns}
"""
END = str(NOW)


@pytest.fixture(autouse=True)
def quick_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLO_TIMEOUT", "300ms")
    monkeypatch.delenv("SLO_SOURCE", raising=False)
    # The next sample, which `slo check` waits for where the newest is old, never comes.
    monkeypatch.setattr("slo.check.late._wait", lambda watched, source: 0)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.yaml").write_text(GOOD + MORE)
    (tmp_path / "sloth.yaml").write_text(SLOTH)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands(url: str) -> dict[str, list[str]]:
    return {
        "status": ["status", "shop.yaml", "-s", url, "--end", END, "--fail-on-exhausted"],
        "report": ["report", "shop.yaml", "-s", url, "--end", END, "-o", "out", "--format", "json", "--format", "html"],
        "record": ["record", "shop.yaml", "-s", url, "--end", END, "--start", "3d", "-o", "r.parquet"],
        "backtest": [
            "backtest",
            "shop.yaml",
            "-s",
            url,
            "--end",
            END,
            "--start",
            "2h",
            "-o",
            "out",
            "--incidents",
            "found",
        ],
        "weekly": ["weekly", "weekly.yaml", "--now", END],
        "check": ["check", "shop.yaml", "-s", url],
        "backfill": ["backfill", "shop.yaml", "-s", url, "--end", END, "--start", "2h", "-o", "filled", "--jobs", "1"],
        "import": ["import", "sloth.yaml", "--verify", url, "-o", "imported"],
        "init": ["init", "-s", url, "-o", "new.yaml"],
        "ledger": ["ledger", "update", "shop.yaml", "-s", url, "--ledger", "ledger", "--end", END, "--start", "2h"],
    }


# What each may end with, and what it writes; a command that fails has written nothing.
CODES = {"weekly": (0, 1), "status": (0, 1, 2), "check": (0, 1, 2), "import": (0, 1, 2)}
WRITTEN = ("out", "r.parquet", "filled", "imported", "new.yaml")


def weekly(url: str) -> None:
    Path("weekly.yaml").write_text(
        f"definitions: [shop.yaml]\nsource: {url}\nretries: 0\nformats: [json, html]\ndeliver: {{folder: kept}}\nledger: ledger\n"
    )


SHAPES: dict[str, Any] = {
    "vector": success("vector", [{"metric": {}, "value": [NOW, str(NOW)]}]),
    "empty vector": success("vector", []),
    "matrix": success("matrix", [{"metric": {}, "values": [[NOW, "1"]]}]),
    "null": success("scalar", None),
    "NaN": success("scalar", [NOW, "NaN"]),
    "1e18": success("scalar", [NOW, "1e18"]),
    "milliseconds": success("scalar", [NOW, f"{NOW}000"]),
    "before Christ": success("scalar", [NOW, "-1e12"]),
    "text": success("string", [NOW, "noon"]),
    "two": success("vector", [{"metric": {}, "value": [NOW, "1"]}, {"metric": {"a": "b"}, "value": [NOW, "1"]}]),
    "nothing": success("scalar", []),
}


@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "vector"])
def test_the_present_of_any_shape_is_a_failure(place: Path, shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Hostile([SHAPES[shape]]) as server:
        for arguments in commands(server.url).values():
            if "--end" in arguments:
                at = arguments.index("--end")
                assert run([*arguments[:at], *arguments[at + 2 :]], False) == 2
                said = capsys.readouterr().err
                assert server.url in said and "Traceback" not in said
    # Of backfill a folder stays, from which the next run goes on.
    assert {path.name for path in place.iterdir()} <= {"shop.yaml", "sloth.yaml", "filled"}
    assert not list(place.glob("filled/*.om"))


def test_a_present_as_a_vector_of_one_is_taken() -> None:
    from tests.source.conftest import quick

    with Hostile([SHAPES["vector"]]) as server:
        assert quick(server.url).latest_ms() == NOW * 1000


def check(server: Hostile, place: Path, capsys: pytest.CaptureFixture[str], names: list[str]) -> dict[str, str]:
    """Runs commands; none may fail in a way of its own, hang, or leave something half written. What each says."""
    said = {}
    weekly(server.url)
    for name in names:
        begun = time.perf_counter()
        code = run(commands(server.url)[name], False)
        out = capsys.readouterr()
        assert time.perf_counter() - begun < 30, name
        assert code in CODES.get(name, (0, 2)), (name, out.err)
        assert "Traceback" not in out.err and "Warning" not in out.err, out.err
        if code == 2:
            # The SLO that could not be read, or the server, where its present is asked for first.
            assert "shop/" in out.err or (name in ("check", "import", "init") and server.url in out.err), out.err
            # Of backfill a folder with a name of its own stays, which the next run goes on from.
            assert not any(Path(written).exists() for written in WRITTEN if written != "filled"), name
            assert not list(Path().glob("filled/*.om"))
        said[name] = out.err
        if name == "weekly":
            [report] = Path("kept").glob("2026*/report.json")
            content = json.loads(report.read_text())
            assert bool(content["missing"]) == (code == 1)
            assert "shop/errors" in [slo["slo"] for slo in content["slos"]]
            assert (report.parent / "index.html").exists()
        assert not list(place.rglob("*.slo-new"))
        for path in map(Path, ("kept", "ledger", *WRITTEN)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return said


ALL = ["status", "report", "record", "backtest", "weekly", "check", "backfill", "import", "init", "ledger"]


def each_shape() -> Iterator[tuple[str, Any]]:
    for value in NUMBERS:
        yield f"value {str(value)[:20]!r}", numbers(value)
    for labels in LABELS:
        yield f"labels {str(labels)[:20]}", numbers("1", labels)
    for extra in EXTRAS:
        yield f"alongside {str(extra)[:20]}", numbers("1", **extra)
    for at in TIMES[1:]:
        yield f"time {at}", [success("matrix", [{"metric": {}, "values": [[at, "1"]]}])]
    twice = {"metric": {"job": "j"}, "values": [[NOW, "1"]]}
    yield "twice", [success("matrix", [twice, twice])]
    yield "result null", [success("matrix", None)]
    yield "nothing", [success("matrix", [])]
    yield "deep", [body(json.loads("[" * 900 + "]" * 900))]
    yield "not UTF-8", [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\xff\xfe\xfd"]


SCRIPTS = dict(each_shape())


@pytest.mark.parametrize(
    ("shape", "script"), SCRIPTS.items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_answers_of_any_shape_end_in_a_message(
    place: Path, shape: str, script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    number = 0 if "SLO_SLOW" in os.environ else list(SCRIPTS).index(shape)
    names = ["status"] + ["record"] * (number % 2 == 0) + ["weekly"] * (number % 6 == 0)
    if "SLO_SLOW" in os.environ or shape.startswith("labels"):  # the job's report is made by what `slo report` calls
        names.append("report")
    with Hostile(script) as server:
        check(server, place, capsys, names)


def test_counts_beyond_measure_are_refused_before_memory_is_taken(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from slo.errors import SourceError
    from slo.promql.parse import parse_selector
    from tests.source.conftest import quick

    with Hostile(numbers("1e18")) as server:
        with pytest.raises(SourceError, match=r"1e\+18 samples, more than the 200,000,000"):
            quick(server.url).samples([parse_selector("up")], NOW * 1000 - 1000, NOW * 1000)
        said = check(server, place, capsys, ["record"])
    assert "shop/errors" in said["record"] and "more than the 200,000,000" in said["record"]


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_a_message_for_every_command(
    place: Path, what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLO_TIMEOUT", "30ms")
    # Each command meets some of them, and all of them in `make slow`.
    names = ALL if "SLO_SLOW" in os.environ else ALL[list(ENDLESS).index(what) % 3 :: 3]
    with Hostile(trickled(*ENDLESS[what])) as server:
        check(server, place, capsys, names)


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes a server that answers well, and takes so many seconds for each answer in which a text is asked for; none of them in truth."""
    true, passed = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: true() + passed[0])
    monkeypatch.setenv("SLO_TIMEOUT", "60s")
    right = numbers("1")

    def server(seconds: float, of: str = "") -> Any:
        def script(request: Request, number: int) -> bytes:
            if of in {**request.params, **request.form}.get("query", ""):
                passed[0] += seconds
            answer: bytes = right(request, number)
            return answer

        return script

    return server


@pytest.mark.parametrize(
    ("setting", "what", "length"), [("OBJECTIVE", "for this SLO", "5m"), ("RUN", "in this run", "4m")]
)
def test_calls_within_their_limits_do_not_hold_a_run(
    place: Path,
    setting: str,
    what: str,
    length: str,
    passing: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each answer takes 110 s of the 240 that it may: all of them would take most of an hour."""
    monkeypatch.setattr("slo.source.prometheus.AT_ONCE", 1)
    if setting == "RUN":
        monkeypatch.setenv("SLO_TIMEOUT_RUN", "4m")
    for name in ALL:
        with Hostile(passing(110)) as server:
            begun = time.monotonic()
            said = check(server, place, capsys, [name])[name]
            took = time.monotonic() - begun
        assert f"{what} took longer than {length} in all" in said and f"raise SLO_TIMEOUT_{setting}" in said, (
            name,
            said,
        )
        assert took < (360 if setting == "RUN" else 4 * 420), name


def test_one_slow_objective_leaves_the_others_their_data(
    place: Path, passing: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with Hostile(passing(50, of="d_seconds")) as server:
        weekly(server.url)
        assert run(commands(server.url)["weekly"]) == 1
    said = capsys.readouterr().err
    assert said.count('"source failed"') == 1  # not asked a second time for all
    [report] = Path("kept").glob("2026*/report.json")
    content = json.loads(report.read_text())
    assert "1 of 4 SLOs (shop/latency)" in content["missing"] and "SLO_TIMEOUT_OBJECTIVE" in content["missing"]


def test_the_job_gives_each_period_its_time(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An SLO that has used up its time in one window is asked for in the next."""
    from slo import limits

    with limits.one_run():
        for _ in range(2):
            with limits.anew():
                for expected in (10.0, 10.0 - 0.02):
                    with limits.asked_for("shop/errors"):
                        left = limits.deadlines(10, 60)[0] - time.monotonic()
                        time.sleep(0.02)
                    assert expected - 0.3 < left <= expected
        assert limits.deadlines(10, 60)[1] - time.monotonic() <= 60 - 0.08


def test_what_is_asked_outside_of_a_run_has_no_deadline_but_its_own() -> None:
    from slo import limits

    assert limits.deadlines(10, 60) == (float("inf"), float("inf"))


REFUSALS = {
    "silent": None,
    "hangs up": b"",
    "no HTTP": b"\x16\x03\x01no HTTP at all\r\n\r\n",
    "503": reply(503, "busy"),
    "429, wait an hour": reply(429, "slow down", Retry_After="3600"),
    "429, wait ²": b"HTTP/1.1 429 Slow\r\nRetry-After: \xc2\xb2\r\nContent-Length: 0\r\n\r\n",
    "401": reply(401, "who are you?"),
    "a login page": reply(200, "<html><title>Sign in</title></html>", Content_Type="text/html"),
    **{
        f"to {location!r}": b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        for location in (b"http://[", b"http://user:T0KEN@[/", b"ftp://x/", b"http://127.0.0.1:99999/", b"/")
    },
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSALS)
def test_refusals_and_bad_redirects_are_a_message_for_every_command(
    place: Path, what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLO_TIMEOUT", "30ms")
    with Hostile([REFUSALS[what]]) as server:
        for said in check(server, place, capsys, ALL).values():
            assert said and "T0KEN" not in said


@pytest.mark.parametrize("status", [200, 302, 500])
def test_what_is_packed_is_unpacked_up_to_the_limit_in_every_command(
    place: Path, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quick part of the next one: 8 MiB in few bytes, of which 1 MiB and a piece may be taken out, of redirects nothing."""
    monkeypatch.setenv("SLO_MAX_RESPONSE", "1MiB")
    taken: dict[http._Unpacker, int] = {}  # one that was given up may go on in its thread
    some, new = http._Unpacker.some, http._Unpacker.__init__

    def begun(self: http._Unpacker) -> None:
        taken[self] = 0
        new(self)

    def counted(self: http._Unpacker, chunk: bytes) -> tuple[bytes, bytes]:
        piece, rest = some(self, chunk)
        taken[self] += len(piece)
        return piece, rest

    monkeypatch.setattr(http._Unpacker, "__init__", begun)
    monkeypatch.setattr(http._Unpacker, "some", counted)
    monkeypatch.setattr("slo.source.prometheus.AT_ONCE", 1)
    headers = {"Content_Encoding": "gzip"} | ({"Location": "/elsewhere"} if status == 302 else {})
    with Hostile([reply(status, gzip.compress(bytes(8 << 20)), **headers)]) as server:
        for name, said in check(server, place, capsys, ALL).items():
            assert {200: "larger than 1 MiB", 302: "redirects in a loop", 500: "answered 500"}[status] in said, name
    assert max(taken.values(), default=0) <= (1 << 20) + http.READ_BYTES
    assert bool(taken) == (status != 302)


@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")
@pytest.mark.parametrize("status", ["200", "302", "500"])
def test_gigabytes_in_few_bytes_take_no_memory_in_any_command(place: Path, status: str) -> None:
    bomb = gzip.compress(bytes(64 << 20)) * 24
    headers = {"Content_Encoding": "gzip"} | ({"Location": "/"} if status == "302" else {})
    with Hostile([reply(int(status), bomb, **headers)]) as server:
        weekly(server.url)
        for name in ("status", "report", "record", "weekly") if status == "200" else ("weekly",):
            process = child(bounded, [name, *commands(server.url)[name][1:]], str(place))
            process.join(300)
            assert process.exitcode == (1 if name == "weekly" else 2), (name, process.exitcode)


def bounded(arguments: list[str], place: str) -> None:
    """Ends with the command's exit code, or with 99 where it took more than 150 MiB."""
    os.chdir(place)
    os.environ |= {"SLO_MAX_RESPONSE": "16MiB", "SLO_TIMEOUT": "1s"}
    sys.stderr = io.StringIO()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    code = run(arguments)
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    os._exit(99 if taken > 150 << 10 else code)


DRAWN = 40 if "SLO_SLOW" in os.environ else 12
SLOW = settings(
    max_examples=DRAWN,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a smaller answer would take minutes to find
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@SLOW
@given(document=documents)
def test_drawn_documents_end_in_a_message(place: Path, capsys: pytest.CaptureFixture[str], document: Any) -> None:
    with Hostile([body(document)]) as server:
        check(server, place, capsys, ["status", "record"])


# Commands that ask much, and more of them.
SLOWER = settings(SLOW, max_examples=DRAWN if "SLO_SLOW" in os.environ else 3)


@SLOWER
@given(
    document=documents, name=st.sampled_from(["report", "backtest", "backfill", "import", "check", "init", "ledger"])
)
def test_drawn_documents_of_any_shape_end_in_a_message_of_every_command(
    place: Path, capsys: pytest.CaptureFixture[str], document: Any, name: str
) -> None:
    with Hostile([body(document)]) as server:
        check(server, place, capsys, [name])


@SLOWER
@given(drawn=figures, name=st.sampled_from(["report", "backfill", "import", "check", "init", "ledger"]))
def test_drawn_figures_of_any_shape_end_in_a_message_of_every_command(
    place: Path, capsys: pytest.CaptureFixture[str], drawn: tuple[Any, Any, dict[str, Any]], name: str
) -> None:
    value, labels, extra = drawn
    with Hostile(numbers(value, labels, **extra)) as server:
        check(server, place, capsys, [name])


@SLOW
@given(drawn=figures)
def test_drawn_figures_end_in_a_report_or_a_message(
    place: Path, capsys: pytest.CaptureFixture[str], drawn: tuple[Any, Any, dict[str, Any]]
) -> None:
    value, labels, extra = drawn
    with Hostile(numbers(value, labels, **extra)) as server:
        check(server, place, capsys, ["status"])


def test_a_server_that_answers_well_once_and_then_never(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report job makes its report on missing data, whatever comes."""

    def script(request: Request, number: int) -> bytes:
        right: bytes = numbers("1")(request, number)
        return right if number < 3 else success("matrix", [{"metric": {"a": 1}, "values": [[NOW, "1"]]}])

    with Hostile(script) as server:
        said = check(server, place, capsys, ["weekly"])
    assert '"event": "source failed"' in said["weekly"]


PAGES_OF_A_METRIC: list[Any] = [None, 5, {}, [None], [{"type": []}]]
PAGES: list[Any] = [
    None, 5, "x", [], {}, {"groups": 5}, {"groups": [None, {"rules": 5}, {"rules": [None, {}, {"name": 5, "query": [], "labels": "x"}]}]},
    *({"r_total": one} for one in PAGES_OF_A_METRIC),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "labels", "page"),
    [("1", None, page) for page in PAGES]
    + [(value, None, {}) for value in NUMBERS]
    + [("1", labels, {}) for labels in LABELS],
    ids=lambda value: str(value)[:30],
)
def test_what_is_asked_alongside_figures_may_have_any_shape(
    place: Path, value: Any, labels: Any, page: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """`slo check --source` and `slo init --source`: findings, a proposal or a message, never what should not happen."""
    right = numbers(value, labels)

    def script(request: Request, number: int) -> bytes:
        if request.path.endswith(("/rules", "/metadata")):
            return body({"status": "success", "data": page})
        answer: bytes = right(request, number)
        return answer

    with Hostile(script) as server:
        for arguments in (["check", "shop.yaml", "-s", server.url], ["init", "-s", server.url]):
            assert run(arguments) in (0, 1, 2), capsys.readouterr().err
            out = capsys.readouterr()
            assert "Traceback" not in out.err


@pytest.mark.parametrize("way", ["warning", "error", "label"])
def test_what_a_server_says_does_not_steer_the_terminal(
    place: Path, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its warnings, errors and label values may hold what sets a title, hides text or rings a bell."""
    steering = "\x1b]0;title\x07\x1b[2J\x9b31m\r\x08\x00"
    script = {
        "warning": numbers("1", warnings=[steering]),
        "error": [reply(422, {"status": "error", "errorType": "execution", "error": steering})],
        "label": numbers("1", {"job": "j", "instance": steering, "code": steering}),
    }[way]
    with Hostile(script) as server:
        for name in ("status", "check", "init"):
            run(commands(server.url)[name])
            said = capsys.readouterr()
            assert not [
                mark for mark in said.out + said.err if mark not in "\n\t" and unicodedata.category(mark) == "Cc"
            ]


@given(st.text(st.characters(categories=["Cc", "L", "N"])))
def test_a_message_has_no_control_characters(text: str) -> None:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        say(text)
    assert not [mark for mark in said.getvalue() if mark not in "\n\t" and unicodedata.category(mark) == "Cc"]
