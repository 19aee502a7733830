"""The files that run the job: what a machine without containers can check of them."""

from __future__ import annotations

import configparser
import ctypes.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from slo.source.recording import write
from slo.source.simulation import simulate
from slo.spec.load import load
from slo.weekly import read_config, run
from tests.servers import promtool

ROOT = Path(__file__).parent.parent.parent
REPORTS = ROOT / "reports"
END = 1_789_948_800_000  # a Monday, 00:00 UTC


def read(path: str) -> Any:
    return yaml.safe_load((REPORTS / path).read_text())


def test_the_example_runs(tmp_path: Path) -> None:
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "hitl-api.yaml").symlink_to(ROOT / "definitions" / "hitl-api.yaml")
    shutil.copy(REPORTS / "weekly.yaml", tmp_path / "reports.yaml")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports.yaml").rename(tmp_path / "reports" / "weekly.yaml")
    samples, header = simulate(load(tmp_path / "definitions"), days=10, seed=1, end_ms=END)
    write(tmp_path / "reports" / "out" / "recording.parquet", samples, header)
    reported: list[str] = []
    config = read_config(tmp_path / "reports" / "weekly.yaml")
    assert run(config, END + 1, lambda event, fields: reported.append(json.dumps([event, fields]))) == 0, reported
    out = tmp_path / "reports" / "out"
    assert (out / "weekly" / "2026-W38" / "index.html").stat().st_size > 20_000
    assert list((out / "ledger" / "days" / "week=2026-W38").iterdir())


def test_its_commented_deliveries_are_accepted_too(tmp_path: Path) -> None:
    text = re.sub(r"^  # ", "  ", (REPORTS / "weekly.yaml").read_text(), flags=re.M)
    (tmp_path / "weekly.yaml").write_text(text)
    config = read_config(tmp_path / "weekly.yaml")
    assert config.email is not None and config.port == 587
    assert config.webhook is not None and config.webhook.url_env == "SLACK_WEBHOOK_URL"


def test_systemd_runs_it_hardened() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(REPORTS / "systemd" / "slo-weekly.service")
    service = dict(unit["Service"])
    assert service["ExecStart"].endswith("slo weekly /etc/slo/weekly.yaml")
    for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "DynamicUser", "RestrictSUIDSGID"):
        assert service[key] == "yes"
    assert service["ProtectSystem"] == "strict" and service["CapabilityBoundingSet"] == ""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze to verify the units with")
    for name in ("slo-weekly.timer", "slo-weekly.service"):
        said = subprocess.run(
            ["systemd-analyze", "verify", str(REPORTS / "systemd" / name)], capture_output=True, text=True, check=False
        )
        # That the program is not installed here is all that may be wrong.
        wrong = [line for line in said.stderr.splitlines() if "slo-weekly" in line and "not executable" not in line]
        assert not wrong, said.stderr


def test_systemds_filter_of_system_calls_lets_it_finish(tmp_path: Path) -> None:
    """With the unit's own lists; numpy and pyarrow make calls that a stricter list once would have killed the job for."""
    if shutil.which("systemd-analyze") is None or ctypes.util.find_library("seccomp") is None:
        pytest.skip("there is no systemd-analyze, or no libseccomp, to run it under")
    unit = REPORTS / "systemd" / "slo-weekly.service"
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "hitl-api.yaml").symlink_to(ROOT / "definitions" / "hitl-api.yaml")
    samples, header = simulate(load(tmp_path / "definitions"), days=3, seed=1, end_ms=END)
    write(tmp_path / "r.parquet", samples, header)
    (tmp_path / "weekly.yaml").write_text(
        "definitions: [definitions]\nsource: r.parquet\nledger: ledger\ndeliver: {folder: out}\n"
    )
    job = [sys.executable, "-m", "slo", "weekly", str(tmp_path / "weekly.yaml"), "--now", "2026-09-21T06:00:00Z"]
    jail = [sys.executable, str(Path(__file__).parent / "jail.py"), str(unit)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*jail, *job], capture_output=True, text=True, env=environment, check=False)
    if "cannot be loaded" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert (tmp_path / "out" / "2026-W38" / "index.html").exists()
    # And it is a filter: a call outside it ends the process.
    other = subprocess.run([*jail, sys.executable, "-c", "import os; os.chroot('/')"], capture_output=True, check=False)
    assert other.returncode == -signal.SIGSYS


def test_systemd_finds_little_to_object_to() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    unit = REPORTS / "systemd" / "slo-weekly.service"
    command = ["systemd-analyze", "security", "--offline=true", str(unit)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    match = re.search(r"Overall exposure level for slo-weekly\.service: (\d+\.\d)", said.stdout)
    if match is None:
        pytest.skip("this systemd-analyze knows no --offline")
    assert float(match.group(1)) <= 2.0, said.stdout


@pytest.mark.parametrize(
    ("schema", "path"), [("vendor.compose-spec", "compose/compose.yaml"), ("vendor.github-workflows", "github/slo.yml")]
)
def test_compose_and_workflow_keep_to_their_schemas(schema: str, path: str, tmp_path: Path) -> None:
    def said(file: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = said(REPORTS / path)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / Path(path).name
    broken.write_text((REPORTS / path).read_text() + "\nservicess: {}\nonn: 1\n")
    assert said(broken).returncode == 1


def test_kubernetes_takes_every_resource() -> None:
    """By the API's own schemas, strictly: a field that it does not know is an error."""
    for version in ("1.29", "1.33"):
        for resource in yaml.safe_load_all((REPORTS / "kubernetes" / "cronjob.yaml").read_text()):
            kubernetes_validate.validate(resource, version, strict=True)
    resource["spec"]["resourcess"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(resource, version, strict=True)


def test_kubernetes_runs_it_as_nobody_on_a_read_only_root() -> None:
    job, claim = yaml.safe_load_all((REPORTS / "kubernetes" / "cronjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"], claim["kind"]) == ("batch/v1", "CronJob", "PersistentVolumeClaim")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["automountServiceAccountToken"] is False
    [container] = pod["containers"]
    held = container["securityContext"]
    assert held["readOnlyRootFilesystem"] and not held["allowPrivilegeEscalation"]
    assert held["capabilities"] == {"drop": ["ALL"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/data", "/tmp"}  # noqa: S108
    assert container["args"][0] == "weekly"


def test_compose_has_all_that_it_names(tmp_path: Path) -> None:
    compose = read("compose/compose.yaml")
    assert {"slo-setup", "prometheus", "alertmanager", "grafana", "slo-weekly", "pages"} == set(compose["services"])
    for service in compose["services"].values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            known = (REPORTS / "compose" / source).exists() if source.startswith(".") else source in compose["volumes"]
            assert known, mount
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")
    assert compose["services"]["slo-weekly"]["read_only"] is True
    config = read_config(REPORTS / "compose" / "weekly.yaml")
    assert str(config.folder) == "/data/weekly" and config.source == "http://prometheus:9090"


@pytest.mark.server
def test_composes_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    text = (REPORTS / "compose" / "prometheus.yml").read_text().replace("/generated/", f"{tmp_path}/")
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "rules.yml").write_text("groups: []\n")
    said = promtool("check", "config", tmp_path / "prometheus.yml")
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_workflow_and_the_image_call_what_exists() -> None:
    workflow = read("github/slo.yml")
    runs = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    called = {line.split()[1] for text in runs for line in text.splitlines() if line.startswith("slo ")}
    assert called == {"check", "explain", "rules", "weekly"}
    assert workflow["permissions"] == {"contents": "read"}
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert dockerfile.count("FROM ") == 2 and "USER 65532:65532" in dockerfile
    for name in re.findall(r"^COPY ((?!--).*) \S+$", dockerfile, re.M):
        for path in name.split():
            assert (ROOT / path).exists(), path
