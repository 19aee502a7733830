"""Ledgers and recordings in an object store that speaks S3's protocol: what is there is what a folder has, byte for byte."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from slo.errors import ConfigError, RecordingError
from slo.ledger import DamagedError, Ledger
from slo.ledger.query import query
from slo.ledger.sums import sums
from slo.ledger.tables import DAYS, STEPS, partitions
from slo.promql.samples import Samples
from slo.source import open as open_source
from slo.source.recording import Header, write
from slo.window import WEEK
from tests.extras import needs
from tests.ledger.test_ledger import MONDAY, filled

slow = pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[str, str]]:
    """The HTTP address of a bucket, and how an address of ours ends that is to reach it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "ACCESS_KEY_ID": "name",
            "SECRET_ACCESS_KEY": "hunter2",
            "EC2_METADATA_DISABLED": "true",
        }.items():
            patch.setenv(f"AWS_{name}", value)
        http = f"http://{host}:{port}/bucket"
        urllib.request.urlopen(urllib.request.Request(http, method="PUT"))
        yield http, f"?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    server.stop()


def put(address: str, content: bytes) -> None:
    kind = {"Content-Type": "application/octet-stream"}  # else the server takes it for a form
    urllib.request.urlopen(urllib.request.Request(address, content, kind, method="PUT"))  # noqa: S310


@slow
@needs("moto", "flask", "flask_cors")
def test_a_ledger_is_the_same_there(bucket: tuple[str, str], tmp_path: Path) -> None:
    http, how = bucket
    there, here = filled(f"s3://bucket/deep/ledger{how}"), filled(tmp_path)
    assert partitions(there.store) == partitions(here.store) != []
    for partition in partitions(here.store):
        for table in (STEPS, DAYS):
            assert there.store.read(partition.path(table)) == here.store.read(partition.path(table))
    again = Ledger(f"s3://bucket/deep/ledger{how}")
    assert again.last_end("shop") == here.last_end("shop") and again.last_end("none") is None
    edges = (MONDAY, MONDAY + WEEK)
    assert sums(again.store, edges) == sums(here.store, edges) != []
    assert list(again.check()) == []
    assert query(f"s3://bucket/deep/ledger{how}", "SELECT count(*) AS n FROM steps").to_pylist() == [{"n": 4 * 2016}]
    path = partitions(here.store)[0].path(DAYS)
    put(f"{http}/deep/ledger/{path.replace('=', '%3D')}", here.store.read(path)[:-9] + b"123456789")
    with pytest.raises(DamagedError, match=f"^s3://bucket/deep/ledger/{path}: is damaged") as failure:
        sums(Ledger(f"s3://bucket/deep/ledger{how}").store, (MONDAY - WEEK, MONDAY + 2 * WEEK))
    assert how not in str(failure.value)


@slow
@needs("moto", "flask", "flask_cors")
def test_a_recording_is_read_from_there(bucket: tuple[str, str], tmp_path: Path) -> None:
    http, how = bucket
    file = tmp_path / "shop.parquet"
    samples = Samples.from_series([({"__name__": "up", "job": "shop"}, [60_000, 120_000], [1.0, 0.0])])
    write(file, samples, Header(0, 120_000, "simulated"))
    put(f"{http}/shop.parquet", file.read_bytes())
    put(f"{http}/half.parquet", file.read_bytes()[:-20])
    source = open_source(f"s3://bucket/shop.parquet{how}")
    assert source.name == "s3://bucket/shop.parquet" and source.latest_ms() == 120_000
    from slo.promql.parse import parse

    assert source.query(parse("sum(up)"), 120_000).series[0].values.tolist() == [0.0]
    for name, says in {"none": "no such recording", "half": "not a Parquet file, or damaged"}.items():
        with pytest.raises(RecordingError, match=f"^s3://bucket/{name}.parquet: {says}"):
            open_source(f"s3://bucket/{name}.parquet{how}")


def test_an_address_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^s3://bucket/x: a source in an object store is a recording"):
        open_source("s3://bucket/x?access_key=hunter2")
    with pytest.raises(ConfigError, match=r"^s3://bucket/x\.parquet: cannot be used as a source") as failure:
        open_source("s3://bucket/x.parquet?nonsense=hunter2")
    assert "hunter2" not in str(failure.value)
    file = tmp_path / "shop.parquet"
    write(file, Samples([]), Header(0, 120_000, "simulated"))
    assert open_source(f"file://{file}").latest_ms() == 120_000
    assert not list(tmp_path.glob("slo-*"))
