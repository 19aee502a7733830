"""Definitions and recordings that nobody should write: a message with its place, in bounded time and memory."""

from __future__ import annotations

import contextlib
import json
import os
import random
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slo.backtest import of_rules
from slo.errors import DefinitionError, Problem, PromqlError, RecordingError
from slo.promql.parse import parse
from slo.promql.samples import Samples
from slo.rules import compile_specs
from slo.source.recording import Header, Recording, write
from slo.spec.load import load, loads
from tests.cli.test_cli import GOOD, ROOT


def raw(errors: str) -> str:
    return f"service: shop\nslos:\n  - name: errors\n    objective: 99\n    sli: {{raw: {{errors: '{errors}', total: \"sum(increase(t[$window]))\"}}}}\n"


TEXTS = {
    "merge of itself": "a: &a\n  <<: *a\n",
    "merge of itself in a list": "service: x\nslos: &s\n  - &t\n    <<: *t\n    name: x\n",
    "alias of itself": "a: &a [*a]\n",
    "tagged mapping that is merged": GOOD + "x: {<<: !foo {a: b}}\n",
    "tagged mapping": GOOD + "x: !!python/object:os.system {a: b}\n",
    "merges too deep": "a: " + "{<<: " * 200 + "{}" + "}" * 200 + "\n",
    "lists too deep": "a: " + "[" * 3000 + "]" * 3000 + "\n",
    "blocks too deep": "".join(" " * depth + "a:\n" for depth in range(1500)),
    "objective of digits": GOOD.replace("99", "9" * 5000),
    "objective with an exponent": GOOD.replace("99", "1e9999999"),
    "objective with a small one": GOOD.replace("99", "1e-9999999"),
    "window of digits": GOOD.replace("objective: 99", f"objective: 99\n    window: {'9' * 5000}d"),
    "threshold of digits": f"service: s\nslos:\n  - {{name: l, objective: 99, sli: {{latency: {{histogram: d_seconds, threshold: {'9' * 5000}}}}}}}\n",
    "hexadecimal": raw("sum(increase(a[$window])) * 0x" + "f" * 5000),
    "octal": raw("sum(increase(a[$window])) * 0" + "7" * 5000),
    "offset of digits": raw(f"sum(increase(a[$window] offset {'9' * 5000}d))"),
    "five thousand terms": raw(" or ".join(f"sum(increase(a{n}[$window]))" for n in range(5000))),
    "parentheses": raw("(" * 2000 + "sum(increase(a[$window]))" + ")" * 2000),
    "signs": raw("-" * 3000 + "sum(increase(a[$window]))"),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_what_cannot_be_read_is_a_problem_with_a_place(name: str) -> None:
    begun = time.monotonic()
    problems: list[Problem] = []
    loads(TEXTS[name], "f.yaml", problems)
    assert any(problem.severity == "error" for problem in problems)
    assert time.monotonic() - begun < 5
    assert all(len(problem.path) < 300 for problem in problems)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (GOOD + "    fooModel: 1\n", "slos[0].fooModel"),
        (GOOD + "    'a]': 1\n", "slos[0].a]"),
        (GOOD + "    'x[y]': 1\n", "slos[0].x[y]"),
        ("FooModel: 1\n" + GOOD, "FooModel"),
        ("'[key]': 1\n" + GOOD, "[key]"),
        (GOOD.replace("ratio: {", "ratio: {RatioModel: 1, "), "slos[0].sli.ratio.RatioModel"),
    ],
)
def test_keys_that_look_like_a_models_name_are_named(text: str, path: str) -> None:
    problems: list[Problem] = []
    loads(text, "f.yaml", problems)
    [problem] = problems
    assert problem.path == path and "unknown key" in problem.message


def test_five_hundred_terms_are_read_and_compiled(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(raw(" or ".join(f"sum(increase(a{n}[$window]))" for n in range(500))))
    groups, _ = compile_specs(load([tmp_path]))
    assert groups
    deep = " or ".join(f"a{n}" for n in range(999))
    assert str(parse(deep)) == deep and hash(parse(deep)) == hash(parse(deep))
    with pytest.raises(PromqlError, match="1001 operations deep"):
        parse(f"{deep} or b or c")


LONG = {
    "offset": "a offset " + "9" * 50_000 + "d", "number": "9" * 50_000, "bad number": "9" * 50_000 + "x", "range": "a[" + "1" * 50_000 + "d]",
    "underscores": "1_" * 50_000, "dots": "9" * 50_000 + "." + "9" * 50_000 + "y", "exponent": "1e" + "9" * 50_000, "hex": "0x" + "f" * 50_000,
    "backslashes": 'a{b="' + "\\" * 50_000 + '"}', "octal": "0" * 50_000 + "7", "comment": "#" * 50_000, "letters": "9" * 50_000 + "e",
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_long_literals_do_not_take_minutes(name: str) -> None:
    begun = time.monotonic()
    with contextlib.suppress(PromqlError):
        parse(LONG[name])
    assert time.monotonic() - begun < 3


MEMORY = """
import resource, sys
from slo.spec import yaml
text = {"list": "a:\\n" + "- b\\n" * 8_000_000, "flow": "a: [" + "b," * 16_000_000 + "]\\n", "lists": "a: [" + "[]," * 10_000_000 + "]\\n"}[sys.argv[1]]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
parsed = yaml.parse(text, "f.yaml")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, parsed.problems)
"""


@pytest.mark.parametrize("kind", ["list", "flow", "lists"] if "SLO_SLOW" in os.environ else ["flow"])
def test_a_file_of_32_megabytes_is_refused_before_memory_is_taken(kind: str) -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY, kind], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "holds more than 2000000 values; split it by service" in done.stdout
    assert int(done.stdout.split()[0]) < 300  # MiB


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    place = tmp_path_factory.mktemp("recording") / "r.parquet"
    times = np.arange(1_790_000_000_000, 1_790_000_600_000, 30_000)
    rows = [({"__name__": name, "i": str(n)}, times, np.arange(len(times)) * 1.0) for name in "abc" for n in range(3)]
    write(place, Samples.from_series(rows), Header(int(times[0]), int(times[-1]), "a test"))
    assert len(Recording.open(place).all()) == 9
    return place.read_bytes()


READ = """
import sys, pathlib
from slo.errors import RecordingError
from slo.source.recording import Recording
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        found = Recording.open(path)
        found.all(), found.latest_ms()
    except RecordingError as error:
        assert str(path) in str(error), error
print("done")
"""


@pytest.mark.parametrize("where", ["footer", "anywhere", "cut", "length"])
def test_damaged_recordings_are_named_and_end_no_process(recording: bytes, tmp_path: Path, where: str) -> None:
    """pyarrow itself aborts on some flipped bits of a footer, which no `except` catches."""
    rng = random.Random(where)
    size = len(recording)
    footer = struct.unpack("<I", recording[-8:-4])[0]
    # A wrong length is first tried by a process of its own, each time.
    slowly, others = (40, 300) if "SLO_SLOW" in os.environ else (8, 100)
    for number in range(slowly if where == "length" else others):
        data = bytearray(recording)
        match where:
            case "footer":
                data[size - 8 - footer + rng.randrange(footer + 8)] ^= 1 << rng.randrange(8)
            case "anywhere":
                data[rng.randrange(size)] ^= 1 << rng.randrange(8)
            case "cut":
                data = data[: rng.randrange(size)]
            case _:
                data[-8:-4] = struct.pack("<I", rng.choice([0, 1, size, 2**31, 2**32 - 1, footer + 1, footer - 1]))
        (tmp_path / f"{number:03}").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=False, timeout=300
    )
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr


def test_a_footer_without_a_seal_is_tried_elsewhere_first(recording: bytes, tmp_path: Path) -> None:
    """As one of an earlier version: read where it is whole, and named where it would end the process."""
    footer = struct.unpack("<I", recording[-8:-4])[0]
    at = len(recording) - 8 - footer
    old = recording[: at - 40] + recording[at:]
    (tmp_path / "old").write_bytes(old)
    assert len(Recording.open(tmp_path / "old").all()) == 9
    rng = random.Random(1)
    for _ in range(4):
        data = bytearray(old)
        for _ in range(3):
            data[at - 40 + rng.randrange(footer)] ^= 1 << rng.randrange(8)
        (tmp_path / "bad").unlink(missing_ok=True)
        (tmp_path / "bad").write_bytes(data)
        try:
            Recording.open(tmp_path / "bad").all()
        except RecordingError as error:
            assert "bad" in str(error)


def header(**more: object) -> dict[bytes, bytes]:

    return {
        b"slo.recording": json.dumps(
            {"start_ms": 0, "end_ms": 1, "origin": "x", "truth": {}, "version": 2} | more
        ).encode()
    }


COLUMNS = {
    "name": pa.array(["a"]), "labels": pa.array(['{"__name__": "a"}']), "times": pa.array([[1]], pa.list_(pa.int64())),
    "times_of": pa.array([None], pa.int32()), "values": pa.array([[1.0]], pa.list_(pa.float64())),
}  # fmt: skip
FOREIGN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no column": (dict(list(COLUMNS.items())[:3]), {}),
    "times of text": (COLUMNS | {"times": pa.array(["x"])}, {}),
    "values of integers": (COLUMNS | {"values": pa.array([[1]], pa.list_(pa.int64()))}, {}),
    "labels that are not JSON": (COLUMNS | {"labels": pa.array(["{"])}, {}),
    "labels of numbers": (COLUMNS | {"labels": pa.array(['{"a": 1}'])}, {}),
    "labels that are a list": (COLUMNS | {"labels": pa.array(["[]"])}, {}),
    "no labels": (COLUMNS | {"labels": pa.array([None], pa.string())}, {}),
    "times of a later row": (COLUMNS | {"times_of": pa.array([7], pa.int32())}, {}),
    "fewer values than times": (COLUMNS | {"values": pa.array([[]], pa.list_(pa.float64()))}, {}),
    "no list": (COLUMNS | {"times": pa.array([None], pa.list_(pa.int64()))}, {}),
    "a moment of text": (COLUMNS, {"end_ms": "x"}),
    "a moment out of range": (COLUMNS, {"end_ms": 10**18}),
    "an end before the start": (COLUMNS, {"end_ms": -1}),
    "a later version": (COLUMNS, {"version": 99}),
    "a version of text": (COLUMNS, {"version": "x"}),
    "a truth that is a list": (COLUMNS, {"truth": []}),
    "an unknown field": (COLUMNS, {"more": 1}),
    "an origin that is none": (COLUMNS, {"origin": 5}),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_recordings_of_a_foreign_shape_are_named(tmp_path: Path, name: str) -> None:
    columns, head = FOREIGN[name]
    table = pa.table(columns).replace_schema_metadata(header(**head))
    pq.write_table(table, tmp_path / "r.parquet")
    with pytest.raises(RecordingError, match=r"r\.parquet"):
        Recording.open(tmp_path / "r.parquet").all()


RULES = {
    "digits": "groups: [{name: g, limit: " + "9" * 5000 + ", rules: []}]\n",
    "a date": "groups: [{name: g, rules: [{alert: a, expr: up, for: 2026-13-40}]}]\n",
    "limit": "groups: [{name: g, limit: x, rules: []}]\n",
    "labels of a group": "groups: [{name: g, labels: x, rules: [{record: a, expr: up}]}]\n",
    "itself": "&a {groups: [{name: *a, rules: [*a]}]}\n",
    "merge of itself": "groups: &a\n  - &b {<<: *b}\n",
    "deep": "groups: " + "[" * 900 + "]" * 900 + "\n",
    "binary": "groups: [{name: !!binary x, rules: []}]\n",
    "key of a list": "groups: [{? [a] : b}]\n",
    "no text": "\x00",
}


@pytest.mark.parametrize("name", RULES)
def test_rules_files_of_any_shape_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "rules.yml").write_text(RULES[name])
    with pytest.raises(DefinitionError, match=r"rules\.yml"):
        of_rules(tmp_path / "rules.yml")
