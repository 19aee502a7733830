"""No secret is shown, whatever its address looks like and wherever it is written."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import slo.source
from slo.cli import run
from slo.errors import DefinitionError, Problem, SloError, SourceError
from slo.promql.samples import Samples
from slo.redact import hide_secrets, hide_userinfo, holds_userinfo, without_userinfo
from slo.source.recording import Header, Recording, write
from slo.weekly import read_config
from tests.cli.test_cli import GOOD
from tests.source.hostile import Hostile, error, reply, success

SECRET = "hunter2"
# A scheme, whether right or mistyped; a password with what passwords hold.
SCHEMES = ["http://", "https://", "HTTP://", "postgres://", "htps://", "http:/", "http//", "http:///", "://", "//", "", "a+b.c-d://"]  # fmt: skip
PASSWORDS = [SECRET, f"pa/{SECRET}", f"{SECRET}/ss", f"12/{SECRET}", f"a?{SECRET}", f"a#{SECRET}", f"@{SECRET}", f"a:{SECRET}:b", f"[{SECRET}", f"%zz{SECRET}", f"a'{SECRET}\"", f"\\{SECRET}", f"é{SECRET}²"]  # fmt: skip
ADDRESSES = [f"{scheme}user:{password}@host:9090/x" for scheme in SCHEMES for password in PASSWORDS]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("SLO_"):
            monkeypatch.delenv(name)
    Path("shop.yaml").write_text(GOOD)
    Path("weekly.yaml").write_text("")


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_source_shows_its_password(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        opened = slo.source.open(address)
    except SloError as error:
        said = f"{error} {error!r}"
        assert "host" in said
    else:
        said = f"{opened.name} {opened!r}"  # `http://user:hunter2@host` is right
    assert SECRET not in said
    if not address.lower().startswith(("http://", "https://")):
        for debug in (False, True):
            assert run(["status", "shop.yaml", "-s", address], debug) == 2
        out = capsys.readouterr()
        assert SECRET not in out.out + out.err


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_configuration_of_the_job_holds_a_password(address: str) -> None:
    assert holds_userinfo(address)
    Path("weekly.yaml").write_text(
        f"definitions: [shop.yaml]\nsource: {json.dumps(address)}\ndeliver: {{folder: out}}\n"
    )
    with pytest.raises(DefinitionError, match="holds a credential") as caught:
        read_config("weekly.yaml")
    assert SECRET not in str(caught.value)


@given(
    before=st.text(st.characters(exclude_characters="@"), max_size=20),
    scheme=st.sampled_from(["http://", "postgres://", "x:/", "redis:///", "http//"]),
    user=st.text(st.characters(exclude_categories=["Z", "C"]), max_size=8),
    password=st.text(st.characters(exclude_categories=["Z", "C"]), max_size=20),
    host=st.from_regex(r"[a-z]{1,9}", fullmatch=True),
)
def test_what_stands_before_the_at_is_hidden_in_any_text(
    before: str, scheme: str, user: str, password: str, host: str
) -> None:
    address = f"{scheme}u{user}:{password}{SECRET}@{host}"
    for message in (hide_userinfo(f"{before} {address}: refused"), str(SloError(f"{before} {address}")), without_userinfo(address),
                    str(Problem("f", 1, 1, "", address)), str(DefinitionError([Problem("f", 1, 1, "", address)])), str(SourceError(address))):  # fmt: skip
        assert SECRET not in message and host in message


@pytest.mark.parametrize(
    "name",
    ["token", "access_token", "X-Auth-Token", "password", "apikey", "api_key", "client_secret", "sig", "PASSWORD"],
)
@pytest.mark.parametrize("mark", ["?", "?a=b&", "#", "?a=b;"])
def test_a_parameter_that_is_named_like_a_secret_is_hidden(name: str, mark: str) -> None:
    """Where an address stands in the place of something else, as a definition's path."""
    text = f"http://host:9090/{mark}{name}={SECRET}&c=d: error: does not exist"
    assert hide_userinfo(text) == f"http://host:9090/{mark}{name}=…&c=d: error: does not exist"


LOOKS = {
    "https://hooks.slack.com/services/T0001/B0001/Xabc123": "https://hooks.slack.com/…",
    "https://hooks.chat.example:8443/T0001": "https://hooks.chat.example:8443/…",
    "https://discord.com/api/webhooks/123/Xabc": "https://discord.com/api/webhooks/…",
    "https://shop.webhook.office.com/webhookb2/Xabc": "https://shop.webhook.office.com/…",
    "https://mattermost.shop.example/hooks/webhook/Xabc": "https://mattermost.shop.example/hooks/webhook/…",
    "Bearer abc123def456": "Bearer …",
    "Basic dXNlcjpodW50ZXIy": "Basic …",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl": "…",
    "xoxb-1234567890-abcdef": "…",
    "AKIAIOSFODNN7EXAMPLE": "…",
    "host=db user=u password=hunter2 port=5": "host=db user=u password=… port=5",
    "host=db password='hunt er2' port=5": "host=db password=… port=5",
    "mysql:host=h;passwd=hunter2": "mysql:host=h;passwd=…",
    "client_secret=hunter2&grant=x": "client_secret=…&grant=x",
}


@pytest.mark.parametrize("secret", LOOKS)
def test_what_is_a_secret_by_its_look_is_hidden(secret: str) -> None:
    assert hide_userinfo(f"cannot reach {secret}: refused") == f"cannot reach {LOOKS[secret]}: refused"


@pytest.mark.parametrize(
    ("deliver", "hidden"),
    [
        ("webhook: {url_env: 'https://hooks.slack.com/services/T0/B0/hunter2'}", "hunter2"),
        ("webhook: {url_env: 'hunter-2'}", "hunter-2"),
        (
            "email: {host: h.example, from: a@b.example, to: [a@b.example], user_env: U, password_env: 'p@hunter2'}",
            "hunter2",
        ),
        ("email: {host: 'u:hunter2@h.example', from: a@b.example, to: [a@b.example]}", "hunter2"),
        ("email: {host: 'smtp://u:hunter2@h.example', from: a@b.example, to: [a@b.example]}", "hunter2"),
    ],
)
def test_a_secret_in_the_place_of_its_name_is_not_repeated(deliver: str, hidden: str) -> None:
    Path("weekly.yaml").write_text(
        f"definitions: [shop.yaml]\nsource: r.parquet\ndeliver:\n  folder: out\n  {deliver}\n"
    )
    with pytest.raises(DefinitionError) as caught:
        read_config("weekly.yaml")
    assert hidden not in str(caught.value) and "_env" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["Basic authentication", "a bearer token was sent", "Bearer authentication is missing", "http://host/webhook", "SLO_BASIC_PASSWORD = …", 'x{secret="a"}', "http://host/?query=up&step=5m", 'sum(x{token="a"})', "use key=value", "rate(up[5m] @ 100)", "http://host:9090/path is down", "mail to ops@shop.example", "a: b @ c", "1:2", "up{a=\"b://c\"} offset 5m", ""],
)  # fmt: skip
def test_other_texts_stay(text: str) -> None:
    assert hide_userinfo(text) == text


def test_secrets_of_the_environment_are_hidden_and_nothing_else() -> None:
    environment = {
        "SLO_BEARER_TOKEN": "tok-8f1c2d", "SLACK_WEBHOOK_URL": "https://hooks/abc/def", "SLO_HEADERS": "X-Scope-OrgID: team-a; X-Key: key-55aa",
        "SLO_BEARER_TOKEN_FILE": "/etc/slo/token", "PROMETHEUS_URL": "http://prometheus:9090", "DB_PASSWORD": "x",
    }  # fmt: skip
    text = "tok-8f1c2d https://hooks/abc/def key-55aa /etc/slo/token http://prometheus:9090 x"
    assert hide_secrets(text, environment) == "… … … /etc/slo/token http://prometheus:9090 x"


@pytest.mark.parametrize("debug", [False, True])
def test_tracebacks_hide_them_too(
    debug: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "hunter222")

    def fails(**_: object) -> int:
        raise ValueError(f"cannot parse postgres://user:{SECRET}@host, hunter222")

    monkeypatch.setattr(sys.modules["slo.cli.main"], "built", lambda *counts: fails)
    assert run([], debug) == 3
    said = capsys.readouterr().err
    assert SECRET not in said and "hunter222" not in said and "postgres://…@host" in said


@pytest.mark.parametrize("flag", ["--sorce", "--no-such", "--end"])
def test_a_wrong_command_line_is_not_repeated_with_its_password(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["status", "shop.yaml", flag, f"http://user:{SECRET}@host"], [f"http://user:{SECRET}@host"], ["schema", f"http://user:{SECRET}@host"]):  # fmt: skip
        assert run(arguments, True) == 2
        out = capsys.readouterr()
        assert SECRET not in out.out + out.err and out.err


TOKEN = "tok-8f1c2d"
ECHOES = {
    "warning": success("matrix", [], warnings=[f"you sent {TOKEN}", f"store http://a:{SECRET}@b is down"]),
    "error": error(422, "execution", f"{TOKEN} http://a:{SECRET}@b"),
    "page": reply(500, f"<html><title>{TOKEN}</title>http://a:{SECRET}@b"),
    "redirect": reply(302, "", Location=f"http://a:{SECRET}@127.0.0.1:1/{TOKEN}"),
    "bad redirect": reply(302, "", Location=f"http://a:{SECRET}@["),
}


@pytest.mark.parametrize("echo", ECHOES)
def test_what_a_server_repeats_is_in_no_message_log_report_or_recording(
    echo: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SLO_BEARER_TOKEN", TOKEN)
    monkeypatch.setenv("SLO_TIMEOUT", "1s")
    with Hostile([ECHOES[echo]]) as server:
        url = server.url
        Path("weekly.yaml").write_text(
            f"definitions: [shop.yaml]\nsource: {url}\nretries: 0\ndeliver: {{folder: kept}}\n"
        )
        for arguments in (
            ["status", "shop.yaml", "-s", url, "--end", "1790000000", "--json"],
            ["report", "shop.yaml", "-s", url, "--end", "1790000000", "-o", "out", "--format", "json", "--format", "html", "--format", "markdown"],
            ["record", "shop.yaml", "-s", url, "--end", "1790000000", "--start", "1h", "-o", "r.parquet"],
            ["weekly", "weekly.yaml", "--now", "1790000000"],
        ):  # fmt: skip
            assert run(arguments, True) in (0, 1, 2)
    out = capsys.readouterr()
    written = "".join(path.read_bytes().decode("latin-1") for path in Path().rglob("*") if path.is_file())
    assert "slo/errors" in out.err + written or "shop/errors" in out.err + written
    for text in (out.out, out.err, caplog.text, written):
        assert SECRET not in text and TOKEN not in text


def test_a_recording_does_not_name_the_password_of_its_origin() -> None:
    source = slo.source.open(f"http://user:{SECRET}@host:9090/prometheus/")
    write("r.parquet", Samples(()), Header(0, 1, source.name))
    assert Recording.open("r.parquet").header.origin == "http://host:9090/prometheus"
    assert SECRET.encode() not in Path("r.parquet").read_bytes()
