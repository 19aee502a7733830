"""Credentials that expire reach a server that verifies them, are renewed in time and when it refuses them, and are never shown."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from slo.errors import ConfigError, SourceError
from slo.limits import asked_for
from slo.promql.parse import parse
from slo.source.config import SourceConfig, load
from slo.source.prometheus import PrometheusSource
from tests.extras import needs
from tests.source.conftest import quick
from tests.source.hostile import Hostile, reply
from tests.source.logins import NO, UP, Answer, Request, Served, Tokens, sigv4

QUERY = parse('up{job="a b", path="/x+y"}')
LONG = parse(" + ".join([f'sum(up{{job="{"x" * 90}"}})'] * 30))  # goes in the body of a POST
AT = 1_000_000
SECRET = "s3cr3t-of-the-client+/="
GOOGLE = "https://oauth2.googleapis.com/token"  # what Google has a key's assertion be for
NOWHERE = {
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(autouse=True)
def no_clouds_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "IDENTITY_", "MSI_")):
            monkeypatch.delenv(name)
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)


def asked(source: PrometheusSource, times: int = 1) -> None:
    for _ in range(times):
        assert source.query(QUERY, AT).series[0].values.tolist() == [1.0]


def token_server(tokens: Tokens, in_form: bool = False) -> Callable[[Request], Answer]:
    """The client-credentials grant: the secret by HTTP Basic, or in the form only."""

    def answer(request: Request) -> Answer:
        form = request.form
        basic = "Basic " + base64.b64encode(b"ann:s3cr3t-of-the-client%2B%2F%3D").decode()
        good = (
            form.get("client_secret") == SECRET and form.get("client_id") == "ann"
            if in_form
            else request.headers.get("authorization") == basic and "client_secret" not in form
        )
        if not good:
            return 401, {"error": "invalid_client", "error_description": f"{form.get('client_secret')} is wrong"}
        if form.get("grant_type") != "client_credentials" or form.get("scope") != "read:metrics all":
            return 400, {"error": "invalid_scope"}
        return 200, {"access_token": tokens.give(), "token_type": "Bearer", "expires_in": tokens.lasts_s}

    return answer


def oauth2(server: Served, tokens: Served, secret: str = SECRET) -> PrometheusSource:
    return quick(
        server.url,
        auth="oauth2",
        oauth2_token_url=f"{tokens.url}/token",
        oauth2_client_id="ann",
        oauth2_client_secret=secret,
        oauth2_scopes="read:metrics all",
    )


@pytest.mark.parametrize("in_form", [False, True])
def test_an_oauth2_token_is_fetched_once_and_renewed(in_form: bool) -> None:
    tokens = Tokens()
    with Served(tokens.guard) as server, Served(token_server(tokens, in_form)) as issuer:
        source = oauth2(server, issuer)
        asked(source, 3)
        assert len(tokens.given) == 1
        tokens.expire()  # before its time, as where keys are rotated
        asked(source)
        assert len(tokens.given) == 2
        tokens.lasts_s = 0.5
        tokens.expire()
        asked(source)
        time.sleep(0.5)
        before = len(server.requests)
        asked(source)
        assert len(tokens.given) == 4 and len(server.requests) == before + 1  # in time, with no refusal
    # A server that wants the secret in the form is not asked in the other way again.
    assert len(issuer.requests) == len(tokens.given) + in_form


def test_a_refused_token_is_renewed_once_a_call_and_no_secret_is_shown() -> None:
    tokens = Tokens()
    with (
        Served(lambda request: (401, {**NO, "error": request.bearer})) as server,
        Served(token_server(tokens)) as issuer,
    ):
        with pytest.raises(SourceError, match=r"asks for a login.*an OAuth 2 token was sent") as caught:
            asked(oauth2(server, issuer))
        assert len(server.requests) == 2 and "tok-" not in str(caught.value)
        with pytest.raises(
            SourceError, match=r"/token gives no token: invalid_client.*check oauth2_client_id"
        ) as caught:
            asked(oauth2(server, issuer, "another-secret"))
        assert "another-secret" not in str(caught.value) and len(server.requests) == 2


def test_a_token_server_that_is_down_is_tried_again_and_named() -> None:
    tokens = Tokens()
    answers: list[Answer] = [(503, {}), (503, {})]
    good = token_server(tokens)
    with Served(tokens.guard) as server, Served(lambda request: answers.pop() if answers else good(request)) as issuer:
        asked(oauth2(server, issuer))
        address = issuer.url
    with (
        Served(tokens.guard) as server,
        pytest.raises(SourceError, match=r"no token of the token server.*refused.*tried 4"),
    ):
        asked(
            quick(server.url, auth="oauth2", oauth2_token_url=address, oauth2_client_id="a", oauth2_client_secret="b")
        )
    with Served(tokens.guard) as server, Served(lambda _: (200, {"token": "x"})) as issuer:
        source = oauth2(server, issuer)
        with pytest.raises(SourceError, match="without an access token"):
            asked(source)


@needs("botocore")
def test_requests_are_signed_for_amazon(monkeypatch: pytest.MonkeyPatch) -> None:
    """GET with awkward characters, and POST with a body; by another region, secret or query the signature is another."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-secret-1")
    place = ["eu-central-1"]

    def answer(request: Request) -> Answer:
        good = sigv4(request, "aws-secret-1", server.url.partition("://")[2], place[0], "aps")
        return (200, UP) if good else (403, {**NO, "error": "aws-secret-1 does not match"})

    with Served(answer) as server:
        source = quick(f"{server.url}/workspaces/ws-1", auth="aws", aws_region="eu-central-1")
        asked(source)
        assert source.query(LONG, AT).series[0].values.tolist() == [1.0]
        assert [request.method for request in server.requests] == ["GET", "POST"]
        place[0] = "us-east-1"
        with pytest.raises(SourceError, match=r"forbids this.*a signature of Amazon's") as caught:
            asked(source)
        assert "aws-secret" not in str(caught.value)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        with pytest.raises(SourceError, match="no credentials of Amazon here; set AWS_ACCESS_KEY_ID"):
            asked(quick(server.url, auth="aws", aws_region="x"))


@needs("botocore")
def test_amazons_session_credentials_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task's role: its credentials come from an address of the machine, with a session token, and expire."""
    sessions = Tokens()

    def role(request: Request) -> Answer:
        token = sessions.give()
        until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return 200, {"AccessKeyId": "A", "SecretAccessKey": f"secret-{token}", "Token": token, "Expiration": until}

    def answer(request: Request) -> Answer:
        token = request.headers.get("x-amz-security-token", "")
        signed = sigv4(request, f"secret-{token}", server.url.partition("://")[2], "eu-west-1", "aps")
        return (200, UP) if signed and token in sessions.good else (403, {**NO, "error": "ExpiredTokenException"})

    with Served(answer) as server, Served(role) as issuer:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{issuer.url}/role")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        source = quick(server.url, auth="aws")
        asked(source, 2)
        assert len(sessions.given) == 1
        sessions.expire()
        asked(source, 2)
        assert len(sessions.given) == 2


@needs("google.auth")
def test_googles_default_credentials_are_sent_and_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service account's key, whose signed assertion the token server verifies."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from google.auth import jwt

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    tokens = Tokens()

    def issue(request: Request) -> Answer:
        claims: dict[str, Any] = dict(
            jwt.decode(  # type: ignore[no-untyped-call]
                request.form["assertion"], certs=public, audience=GOOGLE
            )
        )
        if claims["scope"] != "https://www.googleapis.com/auth/monitoring.read" or claims["iss"] != "ann@example.com":
            return 400, {"error": "invalid_scope"}
        return 200, {"access_token": tokens.give(), "expires_in": tokens.lasts_s}

    with Served(tokens.guard) as server, Served(issue) as issuer:
        account = {"type": "service_account", "client_email": "ann@example.com", "private_key": private, "private_key_id": "1", "token_uri": f"{issuer.url}/token", "project_id": "p"}  # fmt: skip
        (tmp_path / "key.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        source = quick(server.url, auth="google")
        asked(source, 2)
        assert len(tokens.given) == 1
        tokens.expire()
        asked(source, 2)
        assert len(tokens.given) == 2
        tokens.lasts_s = 30  # less than the minute by which tokens are renewed early: each query gets its own
        tokens.expire()
        asked(source, 2)
        assert len(tokens.given) == 4
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "gone.json"))
    with Served(tokens.guard) as server, pytest.raises(SourceError, match="no default credentials of Google here"):
        asked(quick(server.url, auth="google"))


@needs("azure.identity")
def test_azures_default_credential_is_sent_and_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The identity of an app, from an address of the machine."""
    tokens = Tokens()

    def identity(request: Request) -> Answer:
        if request.headers.get("x-identity-header") != "h" or "resource=https" not in request.query:
            return 400, {"error": "no"}
        return 200, {"access_token": tokens.give(), "expires_on": str(int(time.time() + tokens.lasts_s)), "resource": "r", "token_type": "Bearer"}  # fmt: skip

    with Served(tokens.guard) as server, Served(identity) as issuer:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{issuer.url}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "h")
        source = quick(server.url, auth="azure")
        asked(source, 2)
        assert len(tokens.given) == 1
        tokens.expire()
        asked(source, 2)
        assert len(tokens.given) == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"auth": "gcp"}, "its value is not one of oauth2, aws, google, azure"),
        ({"auth": "oauth2"}, "auth: oauth2 needs oauth2_token_url; set SLO_OAUTH2_TOKEN_URL too"),
        ({"oauth2_client_id": "a"}, "oauth2_client_id is set without `auth: oauth2`"),
        ({"auth": "google", "aws_region": "a"}, "aws_region is set without `auth: aws`"),
        ({"auth": "google", "bearer_token": "a"}, "more than one credential"),
        ({"tenant": "a", "headers": (("x-scope-orgid", "b"),)}, "both tenant and the header X-Scope-OrgID"),
        ({"auth": "oauth2", "oauth2_token_url": "http://a:b@c", "oauth2_client_id": "a", "oauth2_client_secret": "b"}, "without a user"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SourceConfig(**settings)


def test_parameters_and_the_tenant_come_with_each_query(tmp_path: Path) -> None:
    file = tmp_path / "slo.yaml"
    file.write_text('source: {tenant: team-a, params: {dedup: "true", max_source_resolution: 5m}}')
    config = load(file, environ={})
    assert load(environ={"SLO_TENANT": "team-a", "SLO_PARAMS": "dedup=true&max_source_resolution=5m"}) == config
    with Served(lambda _: (200, UP)) as server:
        source = PrometheusSource.open(server.url, config=config)
        asked(source)
        source.query(LONG, AT)
    for request, text in zip(
        server.requests, (server.requests[0].query, server.requests[1].body.decode()), strict=True
    ):
        assert "dedup=true" in text and "max_source_resolution=5m" in text
        assert request.headers["x-scope-orgid"] == "team-a"


@pytest.mark.parametrize(
    ("text", "said"),
    [("query=up", "query is set by each query"), ("a=1&a=2", "a is there twice"), ("nothing", "write parameters as")],
)
def test_parameters_that_cannot_be(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(environ={"SLO_PARAMS": text})


def test_a_token_server_that_hangs_takes_no_more_than_the_time_of_an_slo() -> None:
    """However many requests wait for the token."""
    with Hostile([None]) as issuer:
        source = quick(
            "http://127.0.0.1:9", auth="oauth2", oauth2_token_url=issuer.url, oauth2_client_id="a", oauth2_client_secret="b",
            timeout_objective_s=0.3,
        )  # fmt: skip
        begun = time.monotonic()
        with (
            pytest.raises(SourceError, match=r"shop/errors: .*the credential: .*SLO_TIMEOUT_OBJECTIVE"),
            asked_for("shop/errors"),
        ):
            source.query_range(parse("up"), 0, 40_000_000, 1000)
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize("shape", ["secret", "quoted", "header"])
def test_what_a_token_server_quotes_of_the_secret_is_hidden(shape: str) -> None:
    secret = "hun/ter 2+"
    packed = base64.b64encode(f"ann:{quote_plus(secret)}".encode()).decode()
    quoted = {"secret": secret, "quoted": quote_plus(secret), "header": f"Basic {packed}"}[shape]
    answer = reply(400, {"error": "invalid_client", "error_description": f"you sent {quoted}"})
    with Hostile([answer]) as issuer:
        source = quick(
            "http://127.0.0.1:9",
            auth="oauth2",
            oauth2_token_url=issuer.url,
            oauth2_client_id="ann",
            oauth2_client_secret=secret,
        )
        with pytest.raises(SourceError, match="you sent") as caught:
            source.query(parse("up"), 0)
    assert "hun" not in str(caught.value) and packed not in str(caught.value) and secret not in str(caught.value)
