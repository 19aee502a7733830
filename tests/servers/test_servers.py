"""The helpers start, load, reload and stop the real servers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.servers import (
    Alertmanager,
    Prometheus,
    Server,
    VictoriaMetrics,
    binary,
    load_openmetrics,
    promtool,
    wait_until,
)

T0 = 1_500_000_000  # older than any default retention

TEXT = f"""\
# TYPE requests counter
requests_total{{code="200"}} 1 {T0}
requests_total{{code="200"}} 2 {T0 + 15}
# EOF
"""


@pytest.mark.server
@pytest.mark.parametrize("name", ["prometheus", "prometheus2"])
def test_prometheus_answers_from_old_blocks_and_stops(tmp_path: Path, name: str) -> None:
    text = tmp_path / "samples.txt"
    text.write_text(TEXT)
    with Prometheus(tmp_path, data=load_openmetrics(text, tmp_path / "blocks"), binary=name) as server:
        (answer,) = server.query("requests_total[1m]", at=T0 + 20)
        pid = server.pid
    assert answer["values"] == [[T0, "1"], [T0 + 15, "2"]]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.server
def test_prometheus_scrapes_itself_and_reloads_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: g, interval: 1s, rules: [{record: one, expr: vector(1)}]}]")
    config = "scrape_configs: [{job_name: self, scrape_interval: 1s, static_configs: [{targets: [$ADDRESS]}]}]"
    with Prometheus(tmp_path, config=config) as server:
        assert server.rule_groups() == []
        server.reload(rules=[rules])
        assert [group["name"] for group in server.rule_groups()] == ["g"]
        wait_until(lambda: server.address in server.get("/api/v1/targets").decode(), "the target")
        rules.write_text("groups: [{name: g, rules: [{record: one, expr: 'sum('}]}]")
        with pytest.raises(AssertionError, match="parse error"):
            server.reload()


@pytest.mark.server
def test_victoria_metrics_and_alertmanager_start(tmp_path: Path) -> None:
    text = tmp_path / "samples.txt"
    text.write_text(TEXT)
    with VictoriaMetrics(tmp_path) as server:
        server.load(text)
        (answer,) = server.query("requests_total[1m]", at=T0 + 20)
        assert answer["values"] == [[T0, "1"], [T0 + 15, "2"]]
    with Alertmanager(tmp_path) as manager:
        assert manager.alerts() == []


@pytest.mark.server
def test_a_port_that_is_taken_is_given_up_for_another(
    tmp_path: Path, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests import servers

    taken, free = int(prometheus.address.split(":")[1]), servers.free_port()
    ports = iter([taken, free])
    monkeypatch.setattr(servers, "free_port", lambda: next(ports))
    with Prometheus(tmp_path) as server:
        assert server.address == f"127.0.0.1:{free}"


@pytest.mark.server
def test_a_failed_start_shows_the_log(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no_such_key"):
        Prometheus(tmp_path, config="no_such_key: 1").start()


@pytest.mark.server
def test_promtool_runs() -> None:
    assert promtool("--version").returncode == 0
    assert promtool("check", "rules", "/no/such/file").returncode != 0


def test_a_missing_binary_skips_on_a_users_machine_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="fetch"):
        binary("no-such-server")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="fetch"):
        binary("no-such-server")


def test_stop_twice_is_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "fake").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "bin" / "fake").chmod(0o755)
    monkeypatch.setenv("SLO_SERVERS", str(tmp_path))
    server = Server(tmp_path, binary_name="fake")
    server.stop()
    server.stop()
