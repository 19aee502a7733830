"""Recordings: what goes in comes out, and damage is reported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.errors import RecordingError
from slo.promql.ast import Matcher, VectorSelector
from slo.promql.samples import STALE, Samples, is_stale
from slo.source import open as open_source
from slo.source.recording import FORMAT_VERSION, Header, Recording, write

HEADER = Header(0, 100_000, "a test", {"seed": 1})
HOSTILE = 'quote " newline \n slash \\ </script> {{ .Labels }} ü \U0001f600'


def stored(tmp_path: Path, samples: Samples, header: Header = HEADER) -> Recording:
    write(tmp_path / "r.parquet", samples, header)
    return Recording.open(tmp_path / "r.parquet")


def test_samples_come_back_to_the_bit(tmp_path: Path) -> None:
    times = np.array([1, 5, 9, 70_000], dtype=np.int64)
    values = np.array([np.nan, STALE, -np.inf, 0.1 + 0.2])
    labels = {"__name__": "x", "l": HOSTILE}
    recording = stored(tmp_path, Samples.from_series([(labels, times, values), ({"__name__": "y"}, [3], [1.0])]))
    [series] = recording.samples([VectorSelector("x")], 0, 100_000).series
    assert series.labels == labels
    assert series.times.tolist() == times.tolist()
    assert series.values.view(np.int64).tolist() == values.view(np.int64).tolist()
    assert is_stale(series.values).tolist() == [False, True, False, False]
    assert recording.header == HEADER


def test_both_ends_of_the_asked_time_belong_to_it(tmp_path: Path) -> None:
    recording = stored(tmp_path, Samples.from_series([({"__name__": "x"}, [10, 20, 30, 40], [1, 2, 3, 4])]))
    [series] = recording.samples([VectorSelector("x")], 20, 30).series
    assert series.times.tolist() == [20, 30]
    assert recording.samples([VectorSelector("x")], 31, 39).series == ()


def test_a_series_that_two_selectors_match_comes_once(tmp_path: Path) -> None:
    recording = stored(
        tmp_path, Samples.from_series([({"__name__": "x", "c": c}, [10], [1.0]) for c in ("200", "500")])
    )
    errors = VectorSelector("x", (Matcher("c", "=~", "5.."),))
    rows = recording.samples([VectorSelector("x"), errors], 0, 100).series
    assert sorted(series.labels["c"] for series in rows) == ["200", "500"]
    nameless = recording.samples([VectorSelector(None, (Matcher("c", "!=", "200"),))], 0, 100).series
    assert [series.labels["c"] for series in nameless] == ["500"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=5), st.lists(st.floats(), max_size=5)), max_size=8))
def test_any_samples_survive(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, list[float]]]
) -> None:
    unique = {(name, label): values for name, label, values in rows}
    samples = Samples.from_series(
        ({"__name__": name, "l": label}, range(len(values)), values) for (name, label), values in unique.items()
    )
    path = tmp_path_factory.mktemp("r") / "r.parquet"
    write(path, samples, HEADER)
    by_labels = {
        (s.labels["__name__"], s.labels["l"]): s.values.view(np.int64).tolist()
        for s in Recording.open(path).all().series
    }
    assert by_labels == {key: np.array(values, dtype=float).view(np.int64).tolist() for key, values in unique.items()}


def test_what_is_not_a_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    with pytest.raises(RecordingError, match="no such recording; make one with"):
        open_source(str(path))
    path.write_text("<html>")
    with pytest.raises(RecordingError, match="not a Parquet file, or damaged"):
        open_source(str(path))
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(RecordingError, match="but no recording"):
        open_source(str(path))
    fields = {"start_ms": 0, "end_ms": 1, "origin": "x", "truth": {}, "version": FORMAT_VERSION + 1}
    table = pa.table({"a": [1]}).replace_schema_metadata({b"slo.recording": json.dumps(fields).encode()})
    pq.write_table(table, path)
    with pytest.raises(RecordingError, match="written by a later version"):
        open_source(str(path))


def test_a_recording_cut_short_is_refused(tmp_path: Path) -> None:
    stored(tmp_path, Samples.from_series([({"__name__": "x"}, range(1000), np.random.default_rng(1).random(1000))]))
    path = tmp_path / "r.parquet"
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(RecordingError, match="damaged"):
            Recording.open(path).all()


def test_a_byte_gone_wrong_in_the_middle_is_reported(tmp_path: Path) -> None:
    values = np.random.default_rng(1).random(1000)
    stored(tmp_path, Samples.from_series([({"__name__": "x"}, range(1000), values)]))
    path = tmp_path / "r.parquet"
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(bytes(whole))
    with pytest.raises(RecordingError, match="damaged"):
        Recording.open(path).all()


def test_a_failed_write_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(tmp_path, Samples.from_series([({"__name__": "x"}, [1], [1.0])]))
    before = (tmp_path / "r.parquet").read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fail)
    with pytest.raises(RecordingError, match="No space left"):
        write(tmp_path / "r.parquet", Samples.from_series([({"__name__": "y"}, [1], [1.0])]), HEADER)
    assert (tmp_path / "r.parquet").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.parquet"]


def test_series_of_one_target_share_their_times(tmp_path: Path) -> None:
    times = np.arange(0, 90_000, 1_000)
    rows = [({"__name__": "x", "code": str(code)}, times.copy(), np.full(90, float(code))) for code in range(3)]
    rows += [({"__name__": "x", "code": "9"}, times + 1, np.zeros(90))]
    series = stored(tmp_path, Samples.from_series(rows)).all().series
    assert [row.times.tolist() for row in series] == [row[1].tolist() for row in rows]
    assert [row.values[0] for row in series] == [0.0, 1.0, 2.0, 0.0]
    held = pq.read_table(tmp_path / "r.parquet").column("times").to_pylist()
    assert [len(row) for row in held] == [90, 0, 0, 90]
    assert np.shares_memory(series[0].times, series[1].times)


def test_what_is_asked_for_shares_times_too(tmp_path: Path) -> None:
    """Who counts looks at each array once."""
    times = np.arange(0, 90_000, 1_000)
    rows = [({"__name__": "x", "code": str(code)}, times, np.arange(90.0) + code) for code in range(2)]
    rows += [({"__name__": "x", "code": "9"}, times + 1, np.zeros(90))]
    recording = stored(tmp_path, Samples.from_series(rows))
    for low, high in ((0, 90_000), (10_000, 20_000)):
        series, two, other = recording.samples([VectorSelector("x")], low, high).series
        assert series.times is two.times
        assert series.times.tolist() == [at for at in times.tolist() if low <= at <= high]
        assert two.values.tolist() == [at / 1000 + 1 for at in series.times.tolist()]
        assert other.times.tolist() == [at + 1 for at in times.tolist() if low <= at + 1 <= high]


def test_a_recording_of_the_first_format_is_read(tmp_path: Path) -> None:
    stored(tmp_path, Samples.from_series([({"__name__": "x", "i": i}, [1, 2], [3.0, 4.0]) for i in "ab"]))
    table = pq.read_table(tmp_path / "r.parquet")
    rows = table.drop_columns(["times_of"]).set_column(2, "times", pa.array([[1, 2], [1, 2]], pa.list_(pa.int64())))
    head = json.loads(table.schema.metadata[b"slo.recording"]) | {"version": 1}
    pq.write_table(
        rows.replace_schema_metadata({b"slo.recording": json.dumps(head).encode()}), tmp_path / "old.parquet"
    )
    series = Recording.open(tmp_path / "old.parquet").all().series
    assert [(row.times.tolist(), row.values.tolist()) for row in series] == [([1, 2], [3.0, 4.0])] * 2


def test_a_row_that_refers_to_none_is_damage(tmp_path: Path) -> None:
    stored(tmp_path, Samples.from_series([({"__name__": "x", "i": i}, [1, 2], [3.0, 4.0]) for i in "ab"]))
    table = pq.read_table(tmp_path / "r.parquet")
    forged = table.set_column(3, "times_of", pa.array([None, 7], pa.int32()))
    pq.write_table(forged.replace_schema_metadata(table.schema.metadata), tmp_path / "forged.parquet")
    with pytest.raises(RecordingError, match="damaged"):
        Recording.open(tmp_path / "forged.parquet").all()


def test_the_columns_are_encoded_as_they_are_meant_to_be(tmp_path: Path) -> None:
    """Parquet writers ignore an encoding of a column that is not there: recordings were twice as large for it."""
    stored(tmp_path, Samples.from_series([({"__name__": "x"}, [10, 20, 30, 40], [1, 2, 3, 4])]))
    group = pq.ParquetFile(tmp_path / "r.parquet").metadata.row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    encodings = {column.path_in_schema.split(".")[0]: column.encodings for column in columns}
    assert "DELTA_BINARY_PACKED" in encodings["times"]
    assert "BYTE_STREAM_SPLIT" in encodings["values"]
