"""The example workflow's commands, run as GitHub runs them on a pull request: in a repository with a base, and stand-ins for
what only GitHub has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import binary

ROOT = Path(__file__).parent.parent.parent
JOB = yaml.safe_load((ROOT / "reports" / "github" / "slo.yml").read_text(encoding="utf-8"))["jobs"]["check"]
SHOP = """\
service: shop
slos:
  - {{name: errors, objective: {objective}, sli: {{ratio: {{errors: 'x_total{{code="500"}}', total: x_total}}}}}}
"""


def git(folder: Path, *arguments: str) -> str:
    names = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    done = subprocess.run(["git", *names, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A repository whose head changes an objective, and the environment of its steps."""
    repository, tools = tmp_path / "repository", tmp_path / "tools"
    (repository / "definitions").mkdir(parents=True)
    tools.mkdir()
    git(repository, "init", "--quiet")
    for objective in ("99", "99.9"):
        (repository / "definitions" / "shop.yaml").write_text(SHOP.format(objective=objective))
        git(repository, "add", ".")
        git(repository, "commit", "--quiet", "-m", objective)
    promtool = binary("promtool")
    stand_ins = {
        "pip": "exit 0",
        "slo": f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m slo "$@"',
        "docker": f'while [ "$1" != --entrypoint ]; do shift; done; shift 3; exec "{promtool}" "$@"',
        "gh": 'for file; do :; done; cp "$file" comment; echo "$@" > asked',
    }
    for name, text in stand_ins.items():
        (tools / name).write_text(f"#!/bin/bash\n{text}\n")
        (tools / name).chmod(0o755)
    yield repository, {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)}


def ran(place: tuple[Path, dict[str, str]]) -> list[int]:
    """The exit code of each step that GitHub would run."""
    repository, environment = place
    known = {"github.event.pull_request.base.sha": git(repository, "rev-parse", "HEAD~1"), "github.event.pull_request.number": "7", "github.token": "x"}  # fmt: skip
    codes: list[int] = []
    for step in JOB["steps"]:
        if "run" not in step or (any(codes) and "always()" not in step.get("if", "")):
            continue
        own = {
            key: re.sub(r"\$\{\{ (.*?) \}\}", lambda match: known[match[1]], text)
            for key, text in step.get("env", {}).items()
        }
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(command, cwd=repository, env={**environment, **own}, capture_output=True, check=False)
        codes.append(done.returncode)
    return codes


@pytest.mark.server
@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow: promtool tests each alert; make slow runs it")
def test_a_pull_request_is_checked_tested_and_commented_on(place: tuple[Path, dict[str, str]]) -> None:
    assert set(ran(place)) == {0}
    comment = (place[0] / "comment").read_text()
    assert (place[0] / "asked").read_text().startswith("pr comment 7 --edit-last")
    assert re.search(r"^-  Objective: 99% of events are good over the last 30d\.$", comment, re.M)
    assert re.search(r"^\+  Objective: 99\.9% of events are good over the last 30d\.$", comment, re.M)
    assert "SUCCESS" in comment
    assert comment.count("```") % 2 == 0


@pytest.mark.server
def test_a_fault_fails_the_check_and_is_in_the_comment(place: tuple[Path, dict[str, str]]) -> None:
    (place[0] / "definitions" / "shop.yaml").write_text(SHOP.format(objective="101"))
    assert any(ran(place))
    comment = (place[0] / "comment").read_text()
    assert "objective 101 is above 100" in comment
    assert comment.count("```") % 2 == 0


def test_only_a_pull_request_of_the_repository_itself_is_commented_on() -> None:
    steps: list[dict[str, Any]] = [step for step in JOB["steps"] if "gh pr comment" in step.get("run", "")]
    assert [step["if"] for step in steps] == [
        "always() && github.event.pull_request.head.repo.full_name == github.repository"
    ]
    assert JOB["permissions"] == {"contents": "read", "pull-requests": "write"}
