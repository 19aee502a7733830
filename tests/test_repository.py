"""The repository as somebody meets it who joins: one version, a package that is whole, workflows that are valid."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

import slo
from tests.audited import faults
from tests.lowest import lowest
from tests.sbom import completed

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_version_has_one_place_and_heads_the_changelog() -> None:
    assert "version" not in PROJECT
    assert PROJECT["dynamic"] == ["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (.+)$", changelog, re.M)
    assert heads[0] == "[Unreleased]"
    assert re.fullmatch(rf"\[{re.escape(slo.__version__)}\] - \d{{4}}-\d\d-\d\d", heads[1])
    shown = subprocess.run(
        [sys.executable, "-m", "slo", "--version"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert shown.stdout.strip() == slo.__version__
    for named in ("Dockerfile", "reports/kubernetes/cronjob.yaml"):
        assert set(re.findall(r"slo:(\d+\.\d+\.\d+)", (ROOT / named).read_text())) == {slo.__version__}


def test_classifiers_name_the_versions_of_python_that_workflows_test() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert tested == ["3.11", "3.12", "3.13", "3.14"]
    prefix = "Programming Language :: Python :: 3."
    assert [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if one.startswith(prefix)] == tested
    assert PROJECT["requires-python"] == f">={tested[0]}"


def test_workflows_are_valid_and_run_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        checked = subprocess.run(
            [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert checked.returncode == 0, checked.stdout + checked.stderr
        for target in re.findall(r"\bmake (?:-C \S+ )?([a-z]+)", path.read_text()):
            assert f"\n{target}:" in makefile
        for script in re.findall(r"- run: (tests/\S+)", path.read_text()):
            assert (ROOT / script).exists()


def test_the_targets_in_contributing_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    text = (ROOT / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.M))
    assert {"quick", "check", "test"} <= targets
    assert all(f"\n{target}:" in makefile for target in targets)
    for place in re.findall(r"`((?:slo|tests|docs)/[\w/.]+)`", text):
        assert (ROOT / place).exists(), place


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.name
)
def test_issue_forms_have_what_github_needs(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    if path.name == "config.yml":
        assert form == {"blank_issues_enabled": True}
        return
    assert {"name", "description", "body"} <= set(form)
    assert len({field["id"] for field in form["body"]}) == len(form["body"])
    assert all(field["attributes"]["label"] for field in form["body"])


def test_hooks_run_what_make_check_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["entry"].removeprefix(".venv/bin/") for hook in hooks] == [
        "ruff check --fix",
        "ruff format",
        "slo check definitions",
    ]


def test_each_dependency_has_a_lower_bound_that_make_lowest_tries() -> None:
    assert all("==" in one for one in lowest() if one != "tzdata")
    assert len(lowest()) == len(PROJECT["dependencies"])


def test_a_bill_of_materials_has_all_dependencies_and_the_version() -> None:
    names = [one.partition("==")[0] for one in lowest()]
    document: dict[str, Any] = {
        "metadata": {"component": {"name": "slo"}},
        "components": [{"name": name.upper().replace("-", "_"), "version": "1"} for name in names],
    }
    assert completed(document, "1.2.3")["metadata"]["component"] == {"name": "slo", "version": "1.2.3"}
    first = document["components"].pop(0)
    with pytest.raises(ValueError, match=f"lacks {names[0]}"):
        completed(document, "1.2.3")
    document["components"].append({**first, "version": ""})
    with pytest.raises(ValueError, match="has no version of"):
        completed(document, "1.2.3")


def test_an_audit_that_asked_about_nothing_is_not_a_good_one() -> None:
    good = {"name": "numpy", "version": "2.0", "vulns": []}
    ours = {"name": "slo", "skip_reason": "distribution marked as editable"}
    bad = {"name": "x", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
    skipped = {"name": "y", "skip_reason": "Dependency not found on PyPI and could not be audited: y (1)"}
    assert faults({"dependencies": [good, ours]}) == []
    assert faults({"dependencies": [good, bad]}) == ["x 1: PYSEC-1, fixed in 2"]
    assert faults({"dependencies": [good, skipped, ours]}) == ["not audited: y"]
    assert faults({"dependencies": [ours]}) == ["nothing was audited"]
    [line] = faults({"dependencies": [skipped, ours]})
    assert line.startswith("nothing was audited: the service") and "SERVICE=osv" in line
    assert "SERVICE ?= pypi" in (ROOT / "Makefile").read_text()
    done = subprocess.run(
        [sys.executable, "-m", "tests.audited", "none.json"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 1 and "pip-audit left no report" in done.stderr and "Traceback" not in done.stderr


def test_the_workflow_audits_and_keeps_the_bill() -> None:
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["audit"]["steps"]
    assert any(step.get("run") == "make audit" for step in steps)
    assert any(step.get("with", {}).get("path") == "build/sbom.json" for step in steps)


RULES_ONLY = """
import importlib.abc, sys

BLOCKED = {"pandas", "matplotlib", "pyarrow", "requests", "prometheus_api_client", "jinja2", "rich", "urllib3", "pytest"}

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from slo.cli import main
main()
"""


@pytest.mark.parametrize(
    "command", ["check definitions", "rules definitions", "explain definitions", "init", "schema", "explain ratio"]
)
def test_writing_rules_needs_only_what_its_requirements_say(command: str) -> None:
    """requirements/rules.txt leaves out what is blocked here; rich comes with typer, and is not needed either."""
    done = subprocess.run(
        [sys.executable, "-c", RULES_ONLY, *command.split()], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    named = {
        re.split(r"[>=]", line)[0]
        for line in (ROOT / "requirements" / "rules.txt").read_text().splitlines()
        if line[:1] != "#"
    }
    assert named == {"google-re2", "numpy", "orjson", "pydantic", "pyyaml", "typer"}
    bounds = {re.split(r"[>=]", one)[0]: one for one in PROJECT["dependencies"]}
    for line in (ROOT / "requirements" / "rules.txt").read_text().splitlines():
        assert line[:1] == "#" or line == bounds[re.split(r"[>=]", line)[0]]


def test_a_source_archive_holds_the_whole_repository(tmp_path: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False).stdout.split(
        "\n"
    )[:-1]
    if not tracked:
        pytest.skip("not a git checkout")
    if int(metadata.version("setuptools").partition(".")[0]) < 77:
        pytest.skip("setuptools is older than the build needs")
    # Built in a copy, as setuptools leaves files where it builds.
    copy = tmp_path / "copy"
    for name in tracked:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    program = f"from setuptools import build_meta; print(build_meta.build_sdist({str(tmp_path)!r}))"
    built = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=copy, check=False)
    assert built.returncode == 0, built.stderr
    with tarfile.open(tmp_path / built.stdout.split()[-1]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert f"slo-{slo.__version__}.tar.gz" == built.stdout.split()[-1]
    assert {name for name in tracked if (ROOT / name).is_file()} - held == set()
