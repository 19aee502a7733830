"""The examples of docs/extending.md, installed as the package that the page describes, on data with planted errors."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import slo
from slo import plugins
from slo.errors import ConfigError
from slo.promql.samples import Samples
from slo.sli import kinds
from slo.source.recording import Header, write
from slo.window import DAY, HOUR, moment

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
END = 1_790_000_000_000 // DAY * DAY


def install(place: Path) -> None:
    """Every block that names its file, and the entry points as an installer writes them."""
    for name, text in re.findall(r"^```(?:python|yaml|toml)\n# (\S+)\n(.*?)^```", PAGE, re.M | re.S):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text)
    project = tomllib.loads((place / "pyproject.toml").read_text())["project"]
    info = place / "slo_extra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    sections = "\n".join(
        f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in points.items())
        for group, points in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text(sections + "\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, a recording in which a replica is missing for an hour, and a database with 7 bad events of 1,000."""
    place = tmp_path_factory.mktemp("extra")
    install(place)
    times = np.arange(END - 2 * DAY, END + 1, 30_000, dtype=np.int64)
    there = np.where((times > END - 3 * HOUR) & (times <= END - 2 * HOUR), 2.0, 3.0)
    labels = {"job": "shop", "instance": "a"}
    samples = Samples.from_series([
        ({"__name__": "replicas_wanted", **labels}, times, np.full(len(times), 3.0)),
        ({"__name__": "replicas_there", **labels}, times, there),
    ])  # fmt: skip
    write(place / "r.parquet", samples, Header(END - 2 * DAY, END, "test"))
    rows = zip(times.tolist(), there.tolist(), strict=True)
    lines = [
        {"labels": {"__name__": "replicas_there", **labels}, "time": at / 1000, "value": value} for at, value in rows
    ]
    lines += [
        {"labels": {"__name__": "replicas_wanted", **labels}, "time": at / 1000, "value": 3} for at in times.tolist()
    ]
    (place / "r.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with closing(sqlite3.connect(place / "events.db")) as database:
        database.execute("CREATE TABLE events (time INTEGER, total INTEGER, errors INTEGER, slo TEXT)")
        starts = range(END // 1000 - 5 * 300, END // 1000, 300)
        events = [(at, 200, 7 if at == starts[-1] else 0, "shop/replicas") for at in starts]
        database.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", events)
        database.commit()
    return place


COMMANDS = {
    "count": ["status", "replicas.yaml", "-s", "r.parquet", "--json"],
    "rules": ["rules", "replicas.yaml"],
    "explain": ["explain", "agree"],
    "check": ["check", "wrong.yaml"],
    "source": ["status", "replicas.yaml", "-s", "sqlite://events.db", "--json"],
    "samples": ["status", "replicas.yaml", "-s", "jsonl://r.jsonl", "--json"],
    "no source": ["status", "replicas.yaml", "-s", "sqlite://none.db"],
    "format": ["report", "replicas.yaml", "-s", "r.parquet", "-o", "out", "--format", "lines", "--title", "Today"],
    "command": ["owners", "replicas.yaml"],
    "no command": ["owners", "none.yaml"],
    "help": ["--help"],
}
# One after the other in one process, which starts where the package is installed: kinds are known from its start on.
ALL = """
import contextlib, io, json, sys
from slo.cli.main import run
said = {}
for name, arguments in json.load(sys.stdin).items():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(arguments)
    said[name] = [code, out.getvalue(), err.getvalue()]
json.dump(said, sys.stdout)
"""


@pytest.fixture(scope="module")
def said(place: Path) -> dict[str, tuple[int, str, str]]:
    """Exit code, output and messages of each of the commands."""
    (place / "wrong.yaml").write_text((place / "replicas.yaml").read_text().replace("wanted:", "wnted:"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(place), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", ALL], input=json.dumps(COMMANDS), capture_output=True, text=True, cwd=place,
        env=environment, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data: dict[str, tuple[int, str, str]] = json.loads(done.stdout)
    return data


Said = dict[str, tuple[int, str, str]]


def test_a_kind_of_another_package_counts(said: Said) -> None:
    """Judged every 30 s over a day: 2,880 checks of which an hour, 120, is bad; 28.8 are allowed."""
    code, out, err = said["count"]
    assert code == 0, err
    [data] = json.loads(out)["slos"]
    assert (data["events"]["errors"], data["events"]["total"]) == (120, 2880)
    assert data["incidents"][0]["start"] == f"{moment(END - 3 * HOUR):%Y-%m-%dT%H:%M:%SZ}"


def test_a_kind_of_another_package_has_rules_words_and_errors(said: Said) -> None:
    code, out, err = said["rules"]
    assert code == 0, err
    assert 'replicas_there{job="shop"} != bool replicas_wanted{job="shop"}' in " ".join(out.split())
    assert "agree: Two gauges that must be equal" in said["explain"][1] and "  wanted" in said["explain"][1]
    code, _, err = said["check"]
    assert code == 2 and "wrong.yaml:8:9: error: slos[0].sli.agree.wnted: unknown key `wnted`" in err


def test_a_source_of_another_package_is_opened_by_its_scheme(said: Said) -> None:
    assert json.loads(said["source"][1])["slos"][0]["events"]["errors"] == 7
    counted, sampled = (json.loads(said[name][1])["slos"][0] for name in ("count", "samples"))
    assert sampled | {"source": ""} == counted | {"source": ""}  # as the recording of the same samples
    code, _, err = said["no source"]
    assert code == 2 and "none.db: unable to open database file" in err


def test_a_format_of_another_package_is_written(said: Said, place: Path) -> None:
    assert tuple(said["format"][:2]) == (0, "out/report.txt\n"), said["format"][2]
    assert (place / "out" / "report.txt").read_text() == "Today\nshop/replicas: exhausted, −316.7% left\n"


def test_a_command_of_another_package_runs(said: Said) -> None:
    assert tuple(said["command"]) == (0, "nobody: 1\n", "")
    assert said["no command"][0] == 2 and "none.yaml: error: does not exist" in said["no command"][2]
    assert "Print who owns how many SLOs." in said["help"][1]


def test_what_cannot_be_loaded_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path)
    (tmp_path / "slo_extra" / "lines.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ConfigError,
        match=r"slo.formats 'lines' of the package slo-extra cannot be loaded: ModuleNotFoundError: .*nothing_of_this_name",
    ):
        plugins.load(plugins.installed(plugins.FORMATS)["lines"])
    with pytest.raises(slo.ConfigError, match="'line' is not a format of reports; did you mean `lines`"):
        slo.report([], tmp_path, ["line"], generated=moment(END))


def test_a_kind_that_is_taken_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    points = tmp_path / "slo_extra-1.0.dist-info" / "entry_points.txt"
    for name, said in (("ratio", "which there is already"), ("agrees", "but its `key` is 'agree'")):
        points.write_text(f"[slo.kinds]\n{name} = slo_extra.agree:Agree\n")
        with pytest.raises(ConfigError, match=f"adds a kind of that name, {said}"):
            kinds._add_installed()


def test_the_places_that_the_page_names_are_there() -> None:
    table = PAGE.partition("| what | file | one line |")[2].partition("\n\n")[0]
    for file, line in re.findall(r"\| `(\S+?)/NAME.py` \| .*?`(slo/\S+?)`", table):
        assert (ROOT / file).is_dir() and (ROOT / line).is_file()
    members = re.findall(r"^\| `(\w+)", PAGE.partition("| member | what it is |")[2], re.M)
    assert set(members) - {"retention_ms"} <= set(dir(slo.Source))
