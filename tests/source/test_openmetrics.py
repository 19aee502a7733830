"""OpenMetrics text: byte by byte, read back by a parser of a few lines, and read by promtool into a real Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.promql.ast import Matcher, VectorSelector
from slo.promql.samples import STALE, Samples
from slo.source.openmetrics import write_openmetrics
from tests.servers import Prometheus, load_openmetrics, promtool

T0 = 1_790_000_000_000
HOSTILE = (
    'a "quote"',
    "back\\slash",
    "ends in a backslash\\",
    "two\nlines",
    "\\n is not a newline",
    "{curly},comma=#hash",
    "</script><script>alert(1)</script>",
    "# EOF",
    "naïve 🙈 ‮",
    " leading and trailing ",
    "\t\r\x0b\x7f",
    "x" * 10_000,
)


def written(tmp_path: Path, samples: Samples) -> str:
    write_openmetrics(tmp_path / "written.txt", samples)
    return (tmp_path / "written.txt").read_bytes().decode()


def one(labels: Mapping[str, str], times: list[int], values: list[float]) -> Samples:
    return Samples.from_series([(labels, times, values)])


def read(text: str) -> dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]:
    """The samples of a text, by a second way of reading it: unescaped by JSON's rules, which are the same here."""
    rows: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = {}
    quoted = r'"(?:[^"\\\n]|\\.)*"'
    for line in text.split("\n"):
        if not line or line.startswith("# "):
            continue
        head = re.match(rf"([^{{ ]+)(?:\{{((?:[^\"}}]|{quoted})*)\}})? ([^ ]+) ([0-9-]+)\.([0-9]{{3}})$", line)
        assert head is not None, line
        pairs = re.findall(rf"([a-z_]+)=({quoted})", head[2] or "")
        labels = {"__name__": head[1]} | {label: json.loads(value, strict=False) for label, value in pairs}
        rows.setdefault(tuple(sorted(labels.items())), []).append((int(head[4] + head[5]), float(head[3])))
    return rows


def test_a_small_file_byte_by_byte(tmp_path: Path) -> None:
    samples = Samples.from_series(
        [
            ({"__name__": "up", "job": "a"}, [T0], [1.0]),
            ({"__name__": "hits_total", "job": "b", "code": "200"}, [T0 + 1, T0 + 30_000], [0.0, 12.0]),
            ({"__name__": "up", "job": "b"}, [T0, T0 + 5], [0.25, STALE]),
            ({"__name__": "alone"}, [T0], [1e300]),
        ]
    )
    assert written(tmp_path, samples) == (
        "# TYPE alone unknown\n"
        "alone 1e+300 1790000000.000\n"
        "# TYPE hits_total unknown\n"
        'hits_total{code="200",job="b"} 0 1790000000.001\n'
        'hits_total{code="200",job="b"} 12 1790000030.000\n'
        "# TYPE up unknown\n"
        'up{job="a"} 1 1790000000.000\n'
        'up{job="b"} 0.25 1790000000.000\n'
        "# EOF\n"
    )


def test_values_that_are_not_numbers_are_written_as_the_format_names_them(tmp_path: Path) -> None:
    values = [float("inf"), float("-inf"), float("nan"), STALE]
    text = written(tmp_path, one({"__name__": "x"}, [T0, T0 + 1, T0 + 2, T0 + 3], values))
    assert [line.split()[1] for line in text.splitlines()[1:-1]] == ["+Inf", "-Inf", "NaN"]


def test_a_series_of_nothing_but_a_stale_marker_and_an_empty_one_have_no_line(tmp_path: Path) -> None:
    samples = Samples.from_series([({"__name__": "x"}, [T0], [STALE]), ({"__name__": "x", "a": "b"}, [], [])])
    assert written(tmp_path, samples) == "# TYPE x unknown\n# EOF\n"


@given(
    st.dictionaries(st.sampled_from(["job", "path", "le"]), st.text(st.characters(codec="utf-8"), max_size=12)),
    st.dictionaries(
        st.integers(-(10**12), 10**14), st.floats(allow_nan=False) | st.integers(0, 2**54).map(float), max_size=6
    ),
)
def test_what_is_written_reads_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, labels: dict[str, str], samples: dict[int, float]
) -> None:
    named = {"__name__": "some_metric", **labels}
    times = sorted(t for t in samples if t >= 0)
    values = [samples[t] for t in times]
    text = written(tmp_path_factory.mktemp("om"), one(named, times, values))
    assert text.endswith("# EOF\n")
    expected = {tuple(sorted(named.items())): list(zip(times, values, strict=True))} if times else {}
    assert read(text) == expected


def test_blocks_of_lines_meet_without_a_seam(tmp_path: Path) -> None:
    count = 600_001
    times, values = T0 + 15_000 * np.arange(count), np.arange(count) * 1.0
    text = written(tmp_path, Samples.from_series([({"__name__": "x"}, times, values)]))
    lines = text.splitlines()[1:-1]
    assert len(lines) == count
    assert lines[250_000] == f"x 250000 {T0 // 1000 + 15 * 250_000}.000"
    assert lines[-1] == f"x {count - 1} {T0 // 1000 + 15 * (count - 1)}.000"


def test_nothing_is_left_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> object:
        raise OSError("No space left on device")

    monkeypatch.setattr("slo.source.openmetrics._lines", broken)
    with pytest.raises(OSError, match="No space"):
        write_openmetrics(tmp_path / "written.txt", one({"__name__": "x"}, [T0], [1.0]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.server
def test_hostile_labels_names_and_values_reach_a_real_prometheus(tmp_path: Path) -> None:
    values = [0.1, 1 / 3, 1e-300, 2.0**53 + 2, float("inf")]
    rows = [
        ({"__name__": "hostile_total", "value": text, "n": str(n)}, [T0, T0 + 30_001], [float(n), float(n) + 0.5])
        for n, text in enumerate(HOSTILE)
    ]
    rows += [
        ({"__name__": "numbers"}, [T0 + 1000 * n for n in range(len(values))], values),
        ({"__name__": "any.name at all", "label.x": "y"}, [T0], [7.0]),
    ]
    samples = Samples.from_series(rows)
    write_openmetrics(tmp_path / "written.txt", samples)
    data = load_openmetrics(tmp_path / "written.txt", tmp_path / "data")
    with Prometheus(tmp_path, data=data) as server:
        for name in ("hostile_total", "numbers", "any.name at all"):
            selector = VectorSelector(None, (Matcher("__name__", "=", name),))
            answer = server.query(f"{selector}[1h]", (T0 + 60_000) / 1000)
            got = {
                tuple(sorted(series["metric"].items())): [(round(1000 * t), float(v)) for t, v in series["values"]]
                for series in answer
            }
            expected = {
                tuple(sorted(series.labels.items())): list(
                    zip(series.times.tolist(), series.values.tolist(), strict=True)
                )
                for series in samples.select(selector)
            }
            assert got == expected


@pytest.mark.server
def test_promtool_refuses_a_text_that_was_cut_off(tmp_path: Path) -> None:
    """The mark at the end is what tells a whole file: it is written, and it matters."""
    write_openmetrics(tmp_path / "written.txt", one({"__name__": "x"}, [T0], [1.0]))
    cut = tmp_path / "cut.txt"
    cut.write_text((tmp_path / "written.txt").read_text().removesuffix("# EOF\n"))
    done = promtool("tsdb", "create-blocks-from", "openmetrics", cut, tmp_path / "data")
    assert done.returncode != 0
