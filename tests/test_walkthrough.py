"""The README's walk from a clone to a report, line by line as it stands there, on a live Prometheus."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Prometheus, wait_until

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
WALK = README.partition("## Ten minutes")[2].partition("\n## ")[0]
[LINES] = re.findall(r"^```sh\n(.*?)^```", WALK, re.M | re.S)
CONFIG = """\
global: {scrape_interval: 1s, evaluation_interval: 1s}
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["$ADDRESS"]}]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped itself for a little while."""
    with Prometheus(tmp_path_factory.mktemp("server"), config=CONFIG) as running:
        wait_until(
            lambda: len(running.query("prometheus_http_requests_total[1m]", at=time.time())) > 0, "a scrape of itself"
        )
        time.sleep(15)
        yield running


def dependencies(folder: Path) -> Path:
    """What is installed here but this project, so that the walk's own installation needs no network."""
    import pandas

    folder.mkdir()
    for entry in Path(pandas.__file__).parents[1].iterdir():
        if not re.match(r"_*(editable___)?slo\b|slo-|pip\b|.*\.pth$", entry.name):
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.mark.server
@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")
def test_the_readmes_walk_ends_with_a_report_on_ones_own_server(server: Prometheus, tmp_path: Path) -> None:
    """The lines run as they are but for the addresses of the repository and of the server; each must succeed."""
    lines = LINES.replace("http://localhost:9090", server.url)
    assert lines != LINES
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SLO_", "VIRTUAL_ENV"))}
    environment |= {
        "REPOSITORY": str(ROOT),
        "PYTHONPATH": str(dependencies(tmp_path / "dependencies")),
        "PATH": os.pathsep.join([str(Path(os.path.realpath(sys.executable)).parent), os.environ["PATH"]]),
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's own reading of it: no isolation
    }
    begun = time.monotonic()
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", lines], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun < 600  # the ten minutes
    place = tmp_path / "slo"
    assert (place / ".venv" / "bin" / "slo").exists()  # what ran is what was installed
    page = (place / "out" / "index.html").read_text()
    assert "prometheus/up" in page or ">up<" in page
    table = done.stdout
    assert re.search(r"prometheus/up +99.5% .* healthy", table) and "no data" not in table
    assert "warning: none of the" in done.stderr  # what `slo check` says of rules that are not loaded
    rules = place / "out" / "rules.yml"
    # What the text below the lines says: under `rule_files`, and a reload.
    server.reload(rules=[rules])
    checked = subprocess.run(
        [place / ".venv" / "bin" / "slo", "check", "own/", "--source", server.url],
        cwd=place, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert checked.returncode == 0 and "[rules]" not in checked.stderr, checked.stderr


def test_the_walk_is_written_as_commands_that_can_be_copied() -> None:
    commands = [shlex.split(line, comments=True) for line in LINES.splitlines() if line.strip()]
    assert [command[1] for command in commands if command[0] == "slo"] == [
        "init", "explain", "check", "status", "report", "rules",
    ]  # fmt: skip
    assert shutil.which("git") and commands[0][:2] == ["git", "clone"]
