"""Credentials reach the server that they are for, and nobody and nothing else."""

from __future__ import annotations

import base64
import logging
import ssl
import subprocess
from pathlib import Path

import pytest

from slo.errors import ConfigError, SourceError
from slo.promql.parse import parse
from slo.source.config import load
from slo.source.prometheus import PrometheusSource
from tests.source.conftest import QUICK, quick
from tests.source.hostile import ONE, Hostile, error, reply

UP = parse("up")
AT = 1_000_000
TOKEN = "tok-8f1c2d"
PASSWORD = 'p@ss"wörd/:x'


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_bearer_token_and_headers_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLO_BEARER_TOKEN", f" {TOKEN}\n")
    monkeypatch.setenv("SLO_HEADERS", "X-Scope-OrgID: team-a|team-b; X-Url: http://a:1/")
    with Hostile([ONE]) as server:
        PrometheusSource.open(server.url).query(UP, AT)
    headers = server.requests[0].headers
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["x-scope-orgid"] == "team-a|team-b" and headers["x-url"] == "http://a:1/"


def test_user_and_password_arrive_from_the_environment_and_from_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([ONE]) as server:
        PrometheusSource.open(server.url.replace("//", "//ann:p%40ss%22w%C3%B6rd%2F%3Ax@")).query(UP, AT)
        monkeypatch.setenv("SLO_BASIC_USER", "ann")
        monkeypatch.setenv("SLO_BASIC_PASSWORD", PASSWORD)
        PrometheusSource.open(server.url).query(UP, AT)
    assert [request.headers["authorization"] for request in server.requests] == [basic("ann", PASSWORD)] * 2


def test_rotated_files_are_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    with Hostile([ONE]) as server:
        source = quick(server.url, bearer_token_file=file)
        source.query(UP, AT)
        file.write_text("second\n")
        source.query(UP, AT)
        file.unlink()
        with pytest.raises(ConfigError, match=r"token cannot be read any more"):
            source.query(UP, AT)
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_names_the_variables_to_set(status: int) -> None:
    with Hostile([reply(status, "go away")]) as server:
        with pytest.raises(SourceError, match=rf"{status}.*no credential.*SLO_BEARER_TOKEN.*SLO_BASIC_USER"):
            quick(server.url).query(UP, AT)
        with pytest.raises(SourceError, match="a bearer token"):
            quick(server.url, bearer_token=TOKEN).query(UP, AT)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "echo",
    [
        lambda text: reply(401, text),
        lambda text: reply(403, text),
        lambda text: error(400, "bad_data", f"you sent {text}"),
        lambda text: error(422, "execution", "x" * 290 + text),
        lambda text: reply(500, f"<html><title>{text[:60]}</title>{text}"),
        lambda text: reply(500, "x" * 290 + text),
        lambda _: b"",
    ],
)
def test_no_credential_is_ever_shown(echo: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = [TOKEN, "hunter2", "key-55aa", base64.b64encode(b"ann:hunter2").decode()]
    settings: list[dict[str, object]] = [
        {"bearer_token": TOKEN, "headers": (("X-Api-Key", "key-55aa"),)},
        {"basic_user": "ann", "basic_password": "hunter2"},
    ]
    with Hostile([echo(f"{secrets[0]} {secrets[3]} {secrets[1]} {secrets[2]}")]) as server:  # type: ignore[operator]
        for setting, own in zip(settings, (secrets[::2], secrets[1::2]), strict=True):
            source = quick(server.url, **setting)
            with pytest.raises(SourceError) as caught:
                source.query(UP, AT)
            seen = f"{caught.value} {caught.value!r} {source!r} {source.name} {caplog.text}"
            assert not [secret for secret in own if secret in seen]
        source = quick(server.url.replace("//", "//ann:hunter2@"))
        with pytest.raises(SourceError) as caught:
            source.query(UP, AT)
        assert "hunter2" not in f"{caught.value} {source!r} {source.name} {caplog.text}"


def test_the_configuration_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLO_BEARER_TOKEN", TOKEN)
    monkeypatch.setenv("SLO_HEADERS", "X-Api-Key: key-55aa")
    assert TOKEN not in repr(load()) and "key-55aa" not in repr(load())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_another_server_gets_no_credential(status: int) -> None:
    with Hostile([ONE]) as stranger:
        to = f"http://localhost:{stranger.port}/api/v1/query"
        with Hostile([reply(status, "", Location=to)]) as server:
            source = quick(server.url, bearer_token=TOKEN, headers=(("X-Scope-OrgID", "team"), ("X-Api-Key", "k")))
            source.query(UP, AT)
        assert "authorization" in server.requests[0].headers
    (request,) = stranger.requests
    assert not {"authorization", "x-scope-orgid", "x-api-key", "cookie"} & set(request.headers)


def test_another_port_of_the_host_is_another_server() -> None:
    with Hostile([ONE]) as stranger, Hostile([reply(307, "", Location=f"{stranger.url}/x")]) as server:
        quick(server.url, basic_user="ann", basic_password="x").query(UP, AT)
    assert "authorization" not in stranger.requests[0].headers


def test_a_redirect_within_the_server_keeps_them() -> None:
    with Hostile([reply(307, "", Location="/elsewhere"), ONE]) as server:
        quick(server.url, bearer_token=TOKEN).query(UP, AT)
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {TOKEN}"] * 2


def test_a_redirect_loop_ends() -> None:
    with Hostile([reply(302, "", Location="/again")]) as server:
        with pytest.raises(SourceError, match="redirects in a loop"):
            quick(server.url).query(UP, AT)
        assert len(server.requests) == 6


def test_the_page_that_a_redirect_leads_to_is_named() -> None:
    with (
        Hostile([reply(302, "", Location="/login?next=secret"), reply(200, "<html></html>")]) as server,
        pytest.raises(SourceError, match=rf"web page.*redirected to {server.url}/login\)"),
    ):
        quick(server.url).query(UP, AT)


def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login ann password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with Hostile([ONE]) as stranger, Hostile([reply(307, "", Location=stranger.url)]) as server:
        quick(server.url).query(UP, AT)
        quick(server.url, bearer_token=TOKEN).query(UP, AT)
    assert [request.headers.get("authorization") for request in server.requests] == [None, f"Bearer {TOKEN}"]
    assert [request.headers.get("authorization") for request in stranger.requests] == [None, None]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca.pem), and keys with certificates of it for a server (server.*) and a client (client.*)."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(name: str, *more: str) -> None:
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}", *more]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    make("ca", "-addext", "keyUsage=critical,keyCertSign")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE")
    make("server", *signed, "-addext", "subjectAltName=IP:127.0.0.1")
    make("client", *signed)
    subprocess.run(
        ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", "client.key", "-out", "locked.key"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


def server_tls(folder: Path, *, ask: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    if ask:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.pem")
    return context


def test_both_sides_show_certificates(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile([ONE], tls=server_tls(certificates, ask=True)) as server:
        monkeypatch.setenv("SLO_CA_CERT", str(certificates / "ca.pem"))
        with pytest.raises(SourceError, match=r"SLO_CLIENT_CERT|connection broke"):
            PrometheusSource.open(server.url, retry_policy=QUICK).query(UP, AT)
        monkeypatch.setenv("SLO_CLIENT_CERT", str(certificates / "client.pem"))
        monkeypatch.setenv("SLO_CLIENT_KEY", str(certificates / "client.key"))
        assert PrometheusSource.open(server.url).query(UP, AT).series[0].values == 1


def test_an_unknown_authority_is_refused(certificates: Path) -> None:
    with Hostile([ONE], tls=server_tls(certificates, ask=False)) as server:
        with pytest.raises(SourceError, match="not trusted here; set SLO_CA_CERT"):
            quick(server.url).query(UP, AT)
        assert server.requests == []
    with Hostile([ONE]) as server, pytest.raises(SourceError, match="http:// instead of https://"):
        quick(server.url.replace("http:", "https:")).query(UP, AT)


def test_a_client_certificate_is_not_shown_to_another_server(certificates: Path) -> None:
    with (
        Hostile([ONE], tls=server_tls(certificates, ask=True)) as stranger,
        Hostile([reply(307, "", Location=f"{stranger.url}/x")], tls=server_tls(certificates, ask=True)) as server,
    ):
        source = quick(
            server.url,
            ca_cert=certificates / "ca.pem",
            client_cert=certificates / "client.pem",
            client_key=certificates / "client.key",
        )
        with pytest.raises(SourceError):
            source.query(UP, AT)
        assert server.requests and not stranger.requests


def test_a_locked_key_is_refused_without_asking_for_its_passphrase(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLO_CLIENT_CERT", str(certificates / "client.pem"))
    monkeypatch.setenv("SLO_CLIENT_KEY", str(certificates / "locked.key"))
    with pytest.raises(ConfigError, match=r"SLO_CLIENT_KEY.*locked\.key is locked with a passphrase"):
        load()
