"""History sent by remote write: the messages are those of the protocol, nothing is lost or sent twice, and two servers take it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slo.backfill import filled, remote
from slo.errors import ConfigError, SourceError
from slo.files import alone_in
from slo.promql.samples import Series
from slo.rules import OWN
from slo.source import Source
from slo.source import open as open_source
from slo.source.config import SourceConfig
from slo.source.http import RetryPolicy
from slo.source.several import combined
from slo.spec.load import load
from slo.spec.model import Specs
from slo.window import HOUR, MINUTE, parse_moment
from tests.extras import needs
from tests.servers import Prometheus, VictoriaMetrics
from tests.shell import run as slo
from tests.source.hostile import Hostile, reply
from tests.source.logins import Request, Served
from tests.source.shapes import documents

pytestmark = needs("cramjam")
END = parse_moment("2026-03-11T12:00:00Z")
START = END - 3 * HOUR
DEFINITION = """\
service: shop
slos:
  - {name: errors, objective: 99, sli: {ratio: {errors: 'r_total{code=~"5.."}', total: r_total}}}
  - {name: other, objective: 99, sli: {ratio: {errors: 's_total{code=~"5.."}', total: s_total}}}
"""
QUICK = RetryPolicy(connect_s=2.0, backoff_s=0.001)
Rows = dict[tuple[tuple[str, str], ...], dict[int, float]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Specs, Source]:
    place = tmp_path_factory.mktemp("shop")
    (place / "shop.yaml").write_text(DEFINITION)
    done = slo("simulate", place / "shop.yaml", "--days", "1", "--seed", "3", "--end", "2026-03-11T12:00:00Z", "-o", place / "r.parquet")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place, load(place / "shop.yaml"), open_source(str(place / "r.parquet"))


def decoder() -> Callable[[bytes], Any]:
    """Of `WriteRequest`, by the protobuf library, from the fields that Prometheus's prometheus.proto has."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="write.proto", package="p", syntax="proto3")
    kinds = {"double": 1, "int64": 3, "string": 9}
    for name, fields in {
        "Label": [("name", "string"), ("value", "string")],
        "Sample": [("value", "double"), ("timestamp", "int64")],
        "TimeSeries": [("labels", "Label"), ("samples", "Sample")],
        "WriteRequest": [("timeseries", "TimeSeries")],
    }.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields, 1):
            if kind in kinds:
                message.field.add(name=field, number=number, type=kinds[kind], label=1)
            else:
                message.field.add(name=field, number=number, type=11, label=3, type_name=f".p.{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    read: Callable[[bytes], Any] = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("p.WriteRequest")
    ).FromString
    return read


def rows_of(series: Sequence[Series]) -> Rows:
    return {
        tuple(sorted(line.labels.items())): dict(zip(line.times.tolist(), line.values.tolist(), strict=True))
        for line in series
    }


class Store:
    """A receiver in memory. It refuses the request `fails` (from 0), and counts what is sent twice."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.twice = 0
        self.requests = 0
        self.fails = -1
        self._decode = decoder()

    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        import cramjam

        assert (
            request.headers["content-encoding"] == "snappy"
            and request.headers["x-prometheus-remote-write-version"] == "0.1.0"
        )
        self.requests += 1
        if self.requests - 1 == self.fails:
            return 400, {"error": "out of bounds"}
        for line in self._decode(bytes(cramjam.snappy.decompress_raw(request.body))).timeseries:
            labels = tuple((label.name, label.value) for label in line.labels)
            assert list(labels) == sorted(labels)
            times = [sample.timestamp for sample in line.samples]
            assert times == sorted(set(times))
            held = self.rows.setdefault(labels, {})
            self.twice += len(held.keys() & set(times))
            held |= {sample.timestamp: sample.value for sample in line.samples}
        return 200, {}


def receiver(server: Served) -> remote.Receiver:
    return remote.Receiver(f"{server.url}/api/v1/write", SourceConfig(timeout_s=5.0), QUICK)


SERIES = st.lists(
    st.builds(
        lambda times, number: Series({"__name__": f"m:{number}", "z": "ü", "a": "x" * 200}, np.array(sorted(times)) * 1000 + END, np.array(sorted(times)) / 7),
        st.sets(st.integers(-20_000, 20_000), min_size=1, max_size=40),
        st.integers(0, 3),
    ),
    max_size=4, unique_by=lambda line: line.labels["__name__"],
)  # fmt: skip


@given(SERIES)
def test_the_protobuf_library_reads_what_is_encoded(series: list[Series]) -> None:
    message = decoder()(remote.encoded(series))
    read = {
        tuple((label.name, label.value) for label in line.labels): {sample.timestamp: sample.value for sample in line.samples}
        for line in message.timeseries
    }  # fmt: skip
    assert read == rows_of(series)


@given(SERIES, st.integers(1, 50))
def test_slices_are_all_samples_each_once_in_the_order_of_time(series: list[Series], most: int) -> None:
    limit, remote.MOST_SAMPLES = remote.MOST_SAMPLES, most
    try:
        parts = list(remote.slices(series))
    finally:
        remote.MOST_SAMPLES = limit
    last = -1
    for until, part in parts:
        times = np.concatenate([line.times for line in part])
        assert last < times.min() and times.max() == until and until - times.min() < remote.LONGEST_MS
        assert len(times) <= most or len(np.unique(times)) == 1
        last = until
    joined: Rows = {}
    for _, part in parts:
        for labels, values in rows_of(part).items():
            joined.setdefault(labels, {}).update(values)
    assert joined == rows_of(series)


def test_a_run_that_was_stopped_goes_on_and_nothing_is_sent_twice(
    shop: tuple[Path, Specs, Source], tmp_path: Path
) -> None:
    """At whichever request it fails; and once all is sent, the same again sends nothing."""
    _, specs, source = shop
    right: Rows = {}
    for spec in specs.values():
        right |= rows_of(filled(spec, source, START, END).series)
    for fails in range(4):
        store = Store()
        folder = tmp_path / str(fails)
        with Served(store.answer) as server:
            store.fails = fails
            with pytest.raises(
                SourceError, match=r"shop/\w+: http.*refuses the samples \(400\).*out_of_order_time_window"
            ):
                remote.send(specs, source, receiver(server), folder, START, END)
            sent = remote.send(specs, source, receiver(server), folder, START, END)
            assert store.rows == right and store.twice == 0 and sent.empty == ()
            requests = store.requests
            again = remote.send(specs, source, receiver(server), folder, START, END)
            assert store.requests == requests and again.samples == 0 and again.before == ("shop/errors", "shop/other")
            about = remote.key(specs, source, receiver(server), OWN)
            assert remote.unfinished(folder, about) == (START, END)
            # Another span is another run.
            remote.send(specs, source, receiver(server), folder, START, END - HOUR)
            assert store.requests > requests


def test_a_journal_that_was_cut_off_is_read_to_its_last_whole_line(tmp_path: Path) -> None:
    place = tmp_path / remote.JOURNAL
    journal = remote.Journal(place, "k", 1, 2)
    journal.add("a/b", 5)
    journal.add("c/d", None)
    place.write_bytes(place.read_bytes()[:-3])
    again = remote.Journal(place, "k", 1, 2)
    assert again.sent_ms("a/b") == 5 and not again.is_done("c/d")


@settings(max_examples=40)
@given(st.data())
def test_a_damaged_journal_never_says_that_something_was_sent_that_was_not(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever is flipped, lost or doubled in it: what it holds was taken, or it says what to do."""
    place = tmp_path_factory.getbasetemp() / "damaged.journal"
    place.unlink(missing_ok=True)
    journal = remote.Journal(place, "k", 1, 2)
    taken: dict[str, int] = {}
    lines = st.tuples(st.sampled_from(["a/b", "a/c"]), st.integers(1, 10**13))
    for name, until_ms in data.draw(st.lists(lines, max_size=5)):
        journal.add(name, until_ms)
        taken[name] = max(until_ms, taken.get(name, 0))
    content = bytearray(place.read_bytes())
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=4)):
        content[at] = value
    place.write_bytes(content)
    try:
        again = remote.Journal(place, "k", 1, 2)
    except ConfigError as error:
        assert "damaged.journal: its first line is damaged" in str(error) and "remove it" in str(error)
        return
    for name in ("a/b", "a/c"):
        assert again.sent_ms(name) <= taken.get(name, 0) and not again.is_done(name)
    # And what is added then is read again.
    again.add("a/d", None)
    assert remote.Journal(place, "k", 1, 2).is_done("a/d")


def test_a_damaged_line_is_sent_again_and_a_damaged_first_one_says_what_to_do(
    shop: tuple[Path, Specs, Source], tmp_path: Path
) -> None:
    place, _, _ = shop
    store = Store()
    with Served(store.answer) as server:
        sent_to(place, server.url, tmp_path)
        journal = tmp_path / remote.JOURNAL
        lines = journal.read_bytes().splitlines(keepends=True)
        [done] = [at for at, line in enumerate(lines) if b"shop/other" in line and b"null" in line]
        last = lines[done - 1]
        for damage in (b"\x00" * 9 + b"\n", b"[]\n", b"5\n", last.replace(b"1", b"2")):
            journal.write_bytes(b"".join([*lines[: done - 1], damage]))
            before = store.requests
            said = sent_to(place, server.url, tmp_path)
            assert f"{remote.JOURNAL}: damaged in line {done}" in said and store.requests == before + 1, said
        for first in (b"", b"x\n", b"[1]\n", b"[" * 9000 + b"\n", b"\xff\n"):
            journal.write_bytes(b"".join([first, *lines[1:]]))
            run = slo("backfill", place / "shop.yaml", "-s", place / "r.parquet", "--start", "3h", "--remote-write", f"{server.url}/api/v1/write", "-o", tmp_path)  # fmt: skip
            assert run.returncode == 2 and "its first line is damaged" in run.stderr, run.stderr


def test_two_runs_in_one_folder_are_kept_apart(shop: tuple[Path, Specs, Source], tmp_path: Path) -> None:
    _, specs, source = shop
    store = Store()
    with Served(store.answer) as server, alone_in(tmp_path) as alone:
        assert alone
        with pytest.raises(ConfigError, match="another backfill is at work here; name another folder"):
            remote.send(specs, source, receiver(server), tmp_path, START, END)
        assert store.requests == 0 and not (tmp_path / remote.JOURNAL).exists()
        assert remote.send(specs, source, receiver(server), tmp_path / "other", START, END).samples


def test_each_slo_is_sent_from_the_source_that_is_named_for_it(
    shop: tuple[Path, Specs, Source], tmp_path: Path
) -> None:
    """Of two with other figures: what arrives is what the one alone would have given."""
    place, specs, source = shop
    done = slo("simulate", place / "shop.yaml", "--days", "1", "--seed", "8", "--end", "2026-03-11T12:00:00Z", "-o", tmp_path / "two.parquet")  # fmt: skip
    assert done.returncode == 0, done.stderr
    other = open_source(str(tmp_path / "two.parquet"))
    both = combined([("shop/other", other), ("", source)])
    right: Rows = {}
    for spec in specs.values():
        right |= rows_of(filled(spec, other if spec.name == "other" else source, START, END).series)
    wrong = rows_of(filled(next(spec for spec in specs.values() if spec.name == "other"), source, START, END).series)
    store = Store()
    with Served(store.answer) as server:
        sent = remote.send(specs, both, receiver(server), tmp_path / "sent", START, END)
    assert store.rows == right and sent.empty == ()
    assert any(store.rows[labels] != rows for labels, rows in wrong.items())


def test_a_source_and_a_receiver_that_are_slow_end_by_the_time_limits(
    shop: tuple[Path, Specs, Source], tmp_path: Path
) -> None:
    """What was taken by then is in the journal, and the next run sends the rest."""
    _, specs, source = shop
    store = Store()
    slow = threading.Event()

    def answer(request: Request) -> tuple[int, dict[str, Any]]:
        if store.requests == 1 and not slow.is_set():
            slow.set()
            time.sleep(1.0)
        return store.answer(request)

    with Served(answer) as server:
        url = f"{server.url}/api/v1/write"
        impatient = remote.Receiver(url, SourceConfig(timeout_s=0.2), QUICK)
        with pytest.raises(SourceError, match=r"shop/errors: .*no answer for 0\.2 s"):
            remote.send(specs, source, impatient, tmp_path, START, END)
        left = remote.Journal(tmp_path / remote.JOURNAL, remote.key(specs, source, impatient, OWN), START, END)
        assert START < left.sent_ms("shop/errors") < END and not left.is_done("shop/errors")
        assert remote.send(specs, source, receiver(server), tmp_path, START, END).samples
    right: Rows = {}
    for spec in specs.values():
        right |= rows_of(filled(spec, source, START, END).series)
    assert store.rows == right


@given(status=st.sampled_from([200, 204, 301, 302, 400, 401, 404, 409, 422, 500]), document=documents)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_receiver_that_answers_in_any_shape_ends_in_a_message(
    shop: tuple[Path, Specs, Source], tmp_path_factory: pytest.TempPathFactory, status: int, document: Any
) -> None:
    """Statuses of 2xx are all that counts as taken; of nothing else the journal says that it was."""
    _, specs, source = shop
    folder = tmp_path_factory.mktemp("any")
    text = json.dumps(document, default=str).encode("utf-8", errors="replace")
    with Hostile([reply(status, text, Location="/elsewhere")]) as server:
        target = remote.Receiver(server.url, SourceConfig(timeout_s=0.5), QUICK)
        if 200 <= status < 300:
            assert remote.send(specs, source, target, folder, START, END).samples
            return
        with pytest.raises(SourceError, match=r"^shop/errors: ") as caught:
            remote.send(specs, source, target, folder, START, END)
        assert len(str(caught.value)) < 2000
        journal = remote.Journal(folder / remote.JOURNAL, remote.key(specs, source, target, OWN), START, END)
    assert journal.sent_ms("shop/errors") == 0 and not journal.is_done("shop/errors")


def test_a_server_without_a_receiver_is_said(shop: tuple[Path, Specs, Source], tmp_path: Path) -> None:
    place, _, _ = shop
    with Served(lambda _: (404, {"error": "remote write receiver needs to be enabled"})) as server:
        done = slo("backfill", place / "shop.yaml", "-s", place / "r.parquet", "--start", "1h", "--remote-write", f"{server.url}/api/v1/write", "-o", tmp_path)  # fmt: skip
    assert done.returncode == 2 and "--web.enable-remote-write-receiver" in done.stderr


def sent_to(place: Path, url: str, folder: Path) -> str:
    done = slo("backfill", place / "shop.yaml", "-s", place / "r.parquet", "--start", "3h", "--remote-write", f"{url}/api/v1/write", "-o", folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def held_by(server: Prometheus | VictoriaMetrics, names: set[str]) -> Rows:
    rows: Rows = {}
    for name in names:
        for line in server.query(
            f"{{__name__={name!r}}}[{(END - START + MINUTE) // 1000}s]".replace("'", '"'), END / 1000
        ):
            rows[tuple(sorted(line["metric"].items()))] = {
                round(float(at) * 1000): float(value) for at, value in line["values"]
            }
    return rows


OUT_OF_ORDER = "storage: {tsdb: {out_of_order_time_window: 40d}}\nscrape_configs: []\n"


@pytest.mark.server
def test_prometheus_and_victoria_metrics_hold_what_was_sent(shop: tuple[Path, Specs, Source], tmp_path: Path) -> None:
    """To the bit; and sent again, by a run that knows nothing of the first, it is the same on Prometheus."""
    place, specs, source = shop
    right: Rows = {}
    for spec in specs.values():
        right |= rows_of(filled(spec, source, START, END).series)
    names = {dict(labels)["__name__"] for labels in right}
    flags = ["--web.enable-remote-write-receiver"]
    with Prometheus(tmp_path / "p", config=OUT_OF_ORDER, flags=flags) as server:
        assert "samples of " in sent_to(place, server.url, tmp_path / "first")
        assert held_by(server, names) == right
        sent_to(place, server.url, tmp_path / "second")
        assert held_by(server, names) == right
    with Prometheus(
        tmp_path / "q", flags=flags
    ) as server:  # the second SLO's history is older than what it takes in order
        done = slo("backfill", place / "shop.yaml", "-s", place / "r.parquet", "--start", "3h", "--remote-write", f"{server.url}/api/v1/write", "-o", tmp_path / "fourth")  # fmt: skip
        assert (
            done.returncode == 2
            and "shop/other" in done.stderr
            and "set storage.tsdb.out_of_order_time_window" in done.stderr
        )
    with VictoriaMetrics(tmp_path / "v") as victoria:
        sent_to(place, victoria.url, tmp_path / "third")
        victoria.get("/internal/force_flush")
        held = held_by(victoria, names)
        assert held.keys() == right.keys()
        for labels, values in right.items():
            assert held[labels] == pytest.approx(values, rel=1e-11)
        sent_to(place, victoria.url, tmp_path / "third")  # its journal says that all has been sent
        victoria.get("/internal/force_flush")
        assert held_by(victoria, names) == held
