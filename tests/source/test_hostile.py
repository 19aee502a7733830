"""Servers that fail in every way that servers do: a plain error that names the fix, or the right answer after all."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from slo.errors import SourceError
from slo.promql.ast import Node
from slo.promql.parse import parse, parse_selector
from tests.servers import free_port
from tests.source.conftest import quick
from tests.source.hostile import ONE, Hostile, Request, error, reply, success

UP = parse("up")
LONG = 'up{instance=~"' + "|".join(f"host-{number}" for number in range(1000)) + '"}'
LOGIN_PAGE = "<!DOCTYPE html>\n<html><head><title>Sign in to Example</title></head><body>who are you?</body></html>"


def failure(server: Hostile, expr: Node = UP, **settings: object) -> str:
    """What is said of a server that fails."""
    with pytest.raises(SourceError) as caught:
        quick(server.url, **settings).query(expr, 1_000_000)
    text = str(caught.value)
    assert text.startswith(server.url)
    return text


def test_nothing_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(SourceError, match=r"connection refused.*tried 4 times"):
        quick(url).query(UP, 0)


def test_no_such_host() -> None:
    with pytest.raises(SourceError, match=r"no-such-host\.invalid:9090: no such host name"):
        quick("http://no-such-host.invalid:9090").query(UP, 0)


def test_a_server_that_hangs_is_asked_once() -> None:
    with Hostile([None]) as server:
        text = failure(server, timeout_s=0.2)
        assert "no answer for 0.2 s" in text and "SLO_TIMEOUT" in text
        assert len(server.requests) == 1


def test_an_answer_that_trickles_is_given_up() -> None:
    def trickle(_: Request, __: int) -> Iterator[bytes]:
        yield ONE[:-20]
        while not server.stopped.wait(0.02):
            yield b" "

    # The body's stated length is never reached, and no single wait is long.
    with Hostile(
        lambda request, n: (piece.replace(b"Length: ", b"Length: 9") for piece in trickle(request, n))
    ) as server:
        assert "longer than 0.4 s in all" in failure(server, timeout_s=0.1)


def test_the_server_is_asked_to_give_up_before_we_do() -> None:
    with Hostile([ONE]) as server:
        quick(server.url, timeout_s=20.0).query(UP, 1_000_000)
    assert server.requests[0].params["timeout"] == "19000ms"


@pytest.mark.parametrize(("status", "count"), [(200, 1), (302, 1), (500, 1), (502, 4)])
def test_a_web_page_is_not_an_answer(status: int, count: int) -> None:
    with Hostile([reply(status, LOGIN_PAGE, Content_Type="text/html")]) as server:
        text = failure(server)
        assert "web page called 'Sign in to Example'" in text and str(status) in text
        assert len(server.requests) == count


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            error(400, "bad_data", 'invalid parameter "query": 1:3: parse error'),
            "not accept the query.*1:3: parse",
        ),
        (error(422, "execution", "found duplicate series"), "cannot evaluate the query: found duplicate series"),
        (error(422, "422", "cannot parse"), "cannot evaluate the query: cannot parse"),
        (error(500, "internal", "disk on fire"), "500 internal.*disk on fire"),
        (reply(404, "404 page not found"), "no Prometheus API at this address.*select/0/prometheus"),
        (reply(500, ""), "answered 500"),
        (reply(204, ""), "answered 204"),
    ],
)
def test_a_refusal_is_reported_once(answer: bytes, said: str) -> None:
    with Hostile([answer]) as server:
        text = failure(server)
        assert re.search(said, text), text
        assert len(server.requests) == 1


def test_the_query_is_named_but_not_all_of_a_long_one() -> None:
    expr = parse(LONG)
    with Hostile([error(400, "bad_data", "no")]) as server:
        text = failure(server, expr)
    assert "the query is up{" in text and len(text) < 600


@pytest.mark.parametrize(
    "bad",
    [
        reply(503, "Service Unavailable"),
        error(503, "unavailable", "TSDB not ready"),
        reply(502, LOGIN_PAGE),
        reply(504, ""),
        reply(429, "slow down"),
        reply(429, "slow down", Retry_After="0"),
        reply(429, "slow down", Retry_After="Sun, 06 Nov 1994 08:49:37 GMT"),
        b"",
        ONE[:-10],
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"status":',
        b"no HTTP at all\r\n\r\n",
    ],
    ids=["503", "503 json", "502", "504", "429", "429 now", "429 date", "hangs up", "half", "half a chunk", "no http"],
)
def test_what_may_pass_is_tried_again(bad: bytes) -> None:
    with Hostile([bad, bad, ONE]) as server:
        assert quick(server.url).query(UP, 1_000_000).series[0].values == 1
        assert len(server.requests) == 3
    with Hostile([bad]) as server:
        assert "tried 4 times" in failure(server)
        assert len(server.requests) == 4


def test_a_broken_answer_is_named() -> None:
    with Hostile([ONE[:-10]]) as server:
        assert "broke in the middle of the answer" in failure(server)


@pytest.mark.parametrize("status", [503, 504])
def test_a_query_that_took_too_long_is_not_tried_again(status: int) -> None:
    with Hostile([error(status, "timeout", "query timed out in expression evaluation")]) as server:
        text = failure(server)
        assert "its own time limit (query timed out" in text and "SLO_TIMEOUT" in text
        assert len(server.requests) == 1


def test_a_server_that_wants_an_hour_is_not_waited_for() -> None:
    with Hostile([reply(429, "", Retry_After="3600")]) as server:
        assert "come back in 3,600 s" in failure(server)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "42",
        '{"status":"success"}',
        '{"status":"success","data":null}',
        '{"status":"success","data":[]}',
        '{"status":"success","data":{"resultType":"vector"}}',
        '{"status":"success","data":{"resultType":"vector","result":{}}}',
        '{"status":"success","data":{"resultType":"streams","result":[]}}',
        '{"status":"success","data":{"resultType":"vector","result":[{}]}}',
        '{"status":"success","data":{"resultType":"vector","result":[7]}}',
        '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1]}]}}',
        '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}',
        '{"status":"success","data":{"resultType":"vector","result":[{"metric":[],"value":[1,"1"]}]}}',
        '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":["a","1"]}]}}',
        '{"status":"success","data":{"resultType":"vect',
        '{"status":"success","data":{"resultType":"vector","result":[]}} trailing',
        "ok",
        "\xff\xfe",
    ],
)
def test_json_of_another_shape(body: str) -> None:
    with Hostile([reply(200, body.encode("latin-1"))]) as server:
        assert "API" in failure(server)
        assert len(server.requests) == 1


def test_an_answer_for_another_time_is_refused() -> None:
    with Hostile([success("vector", [{"metric": {}, "value": [999, "1"]}])]) as server:
        assert "other times" in failure(server)


@pytest.mark.parametrize("kind", ["vector", "matrix"])
def test_native_histograms_are_refused_in_words(kind: str) -> None:
    histogram = [1000, {"count": "3", "sum": "1"}]
    entry = {"histogram": histogram} if kind == "vector" else {"histograms": [histogram]}
    with Hostile([success(kind, [{"metric": {"__name__": "h"}, **entry}])]) as server:
        source = quick(server.url)
        with pytest.raises(SourceError, match="h is a native histogram"):
            if kind == "vector":
                source.query(UP, 1_000_000)
            else:
                source.query_range(UP, 1_000_000, 1_000_000, 1000)


def test_a_range_vector_has_no_value_at_one_time() -> None:
    with Hostile([success("matrix", [])]) as server:
        assert "range vector" in failure(server)


def test_an_empty_answer_is_empty() -> None:
    with Hostile([success("vector", [])]) as server:
        matrix = quick(server.url).query(UP, 1_000_000)
    assert matrix.series == () and matrix.times.tolist() == [1_000_000]
    with Hostile([success("matrix", [])]) as server:
        source = quick(server.url)
        assert source.query_range(UP, 0, 5000, 1000).series == ()
        assert len(source.samples([parse_selector("up")], 0, 5000).series) == 0


def test_nan_and_infinities_are_values() -> None:
    result = [
        {"metric": {"n": str(number)}, "value": [1000.001, text]}
        for number, text in enumerate(["NaN", "+Inf", "-Inf", "1e-300"])
    ]
    with Hostile([success("vector", result)]) as server:
        matrix = quick(server.url).query(UP, 1_000_001)
    values = [float(series.values[0]) for series in matrix.series]
    assert np.isnan(values[0]) and values[1:] == [np.inf, -np.inf, 1e-300]


def test_scalars_are_a_series_without_labels() -> None:
    with Hostile([success("scalar", [1000, "7"])]) as server:
        (series,) = quick(server.url).query(UP, 1_000_000).series
    assert dict(series.labels) == {} and series.values.tolist() == [7]


def test_gzip_and_a_wrong_content_type_do_not_matter() -> None:
    body = gzip.compress(ONE.partition(b"\r\n\r\n")[2])
    with Hostile([reply(200, body, Content_Encoding="gzip", Content_Type="text/plain")]) as server:
        assert quick(server.url).query(UP, 1_000_000).series[0].values == 1
    with Hostile([reply(200, ONE, Content_Encoding="gzip")]) as server:
        assert "not compressed as it says" in failure(server)


@pytest.mark.parametrize("packed", [False, True])
def test_a_huge_answer_is_given_up(packed: bool) -> None:
    body = b'{"padding": "' + b"x" * (8 << 20)
    answer = reply(200, gzip.compress(body), Content_Encoding="gzip") if packed else reply(200, body)
    with Hostile([answer]) as server:
        text = failure(server, max_response_bytes=2 << 20)
        assert "larger than 2 MiB" in text and "SLO_MAX_RESPONSE" in text
        assert len(server.requests) == 1


def test_what_the_server_says_alongside_the_answer_becomes_notes() -> None:
    partial = success("vector", [], warnings=["store down", "store down"], infos=["PromQL info: x"])
    with Hostile([partial]) as server:
        source = quick(server.url)
        assert source.query(UP, 0).notes == ("store down", "PromQL info: x")
        assert source.notes == ("store down", "PromQL info: x")
    with Hostile([success("matrix", [], warnings=["store down"])]) as server:
        source = quick(server.url)
        source.samples([parse_selector("up")], 0, 1000)
        assert source.notes == ("store down",)


def test_a_long_query_goes_in_the_body() -> None:
    long = parse(LONG)
    with Hostile([ONE]) as server:
        source = quick(f"{server.url}/prefix/")
        source.query(UP, 1_000_000)
        source.query(long, 1_000_000)
    short_request, long_request = server.requests
    assert (short_request.method, short_request.path) == ("GET", "/prefix/api/v1/query")
    assert short_request.params["query"] == "up" and short_request.params["time"] == "1000.000"
    assert (long_request.method, long_request.params) == ("POST", {})
    assert long_request.form["query"] == str(long) and long_request.form["time"] == "1000.000"
    assert long_request.headers["content-type"] == "application/x-www-form-urlencoded"


def minutes(request: Request, _: int) -> bytes:
    """A server that answers a range query with the time, in series a, and in series b from 1,500,000 s on."""
    start, end, step = (float(request.params[name]) for name in ("start", "end", "step"))
    assert (end - start) / step < 11_000, "a server would refuse this"
    times = np.round(np.arange(start, end + step / 2, step), 3).tolist()
    late = [[time, str(time)] for time in times if time >= 1_500_000]
    series = [{"metric": {"s": "a"}, "values": [[time, str(time)] for time in times]}]
    return success("matrix", series + ([{"metric": {"s": "b"}, "values": late}] if late else []))


def test_a_long_range_is_fetched_in_pieces_side_by_side() -> None:
    with Hostile(minutes) as server:
        matrix = quick(server.url).query_range(UP, 500, 2_400_000_500, 60_000)
        assert len(server.requests) == 4 and 1 < server.most_at_once <= 4
    assert matrix.times.tolist() == list(range(500, 2_400_000_501, 60_000))
    a, b = matrix.series
    assert a.values.tolist() == (matrix.times / 1000).tolist()
    np.testing.assert_array_equal(b.values, np.where(matrix.times >= 1_500_000_000, matrix.times / 1000, np.nan))


def test_a_failing_piece_fails_the_whole() -> None:
    def script(request: Request, number: int) -> bytes:
        return error(422, "execution", "broken piece") if number == 2 else minutes(request, number)

    with Hostile(script) as server, pytest.raises(SourceError, match="broken piece"):
        quick(server.url).query_range(UP, 0, 3_000_000_000, 60_000)


def test_too_many_samples_are_asked_for_in_halves() -> None:
    def script(request: Request, number: int) -> bytes:
        if float(request.params["end"]) - float(request.params["start"]) > 1000:
            return error(422, "execution", "query processing would load too many samples into memory")
        return minutes(request, number)

    with Hostile(script) as server:
        matrix = quick(server.url).query_range(UP, 0, 7_000_000, 1000)
    assert matrix.series[0].values.tolist() == list(range(7001))
    with Hostile([error(422, "execution", "would load too many samples into memory")]) as server:
        assert "so many samples" in failure(server)


def test_a_time_that_comes_twice_is_one_sample() -> None:
    def script(request: Request, _: int) -> bytes:
        if request.path.endswith("query_range"):
            return success("matrix", [{"metric": {}, "values": [[float(request.params["end"]), "5"]]}])
        return success("matrix", [{"metric": {}, "values": [[2, "2"], [2, "2"], [3, "3"], [4, "4"], [4, "4"]]}])

    with Hostile(script) as server:
        (series,) = quick(server.url).samples([parse_selector("up")], 2000, 3000).series
    assert series.times.tolist() == [2000, 3000] and series.values.tolist() == [2, 3]


def test_impossible_periods_are_refused() -> None:
    source = quick("http://127.0.0.1:1")
    with pytest.raises(SourceError, match="before it starts"):
        source.query_range(UP, 10, 0, 1)
    with pytest.raises(SourceError, match="before it starts"):
        source.samples([], 10, 0)
    with pytest.raises(SourceError, match="step of 0 ms"):
        source.query_range(UP, 0, 10, 0)


def test_a_matrix_becomes_a_frame_in_utc() -> None:
    with Hostile(minutes) as server:
        frame = quick(server.url).query_range(parse("up"), 0, 120_000, 60_000).to_frame()
    assert list(frame.columns) == ['{s="a"}'] and frame.index.name == "time"
    assert [str(moment) for moment in frame.index] == [
        "1970-01-01 00:00:00+00:00", "1970-01-01 00:01:00+00:00", "1970-01-01 00:02:00+00:00",
    ]  # fmt: skip
    assert frame['{s="a"}'].tolist() == [0, 60, 120]


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://user:hunter2@127.0.0.1:{free_port()}")
    with pytest.raises(SourceError, match="HTTP_PROXY") as caught:
        quick("http://somewhere.example").query(UP, 0)
    assert "hunter2" not in str(caught.value)


def test_open_picks_the_source_by_its_text(tmp_path: Path) -> None:
    import slo.source

    assert slo.source.open(" HTTP://localhost:9090/ ").name == "http://localhost:9090"
    with pytest.raises(SourceError, match="no such recording"):
        slo.source.open(str(tmp_path / "none.parquet"))
