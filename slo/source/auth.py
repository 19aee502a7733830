"""Credentials that expire: OAuth 2 client credentials, and those of Amazon, Google and Microsoft by their own libraries.

Each is asked for when it is first needed, kept as long as it lasts, and asked for anew when a server refuses it early.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

import orjson
import requests
from requests.auth import AuthBase

from slo.errors import ConfigError
from slo.source import failure
from slo.source.bounded import BoundedAdapter, BoundedCall, reading
from slo.source.config import AUTHS, SourceConfig, read_secret

TOKEN_BYTES, TOKEN_S = 1 << 20, 30.0
EARLY_S = 60.0  # a token is renewed this long before it expires, or a tenth of its life
GOOGLE_SCOPE = "https://www.googleapis.com/auth/monitoring.read"
AZURE_SCOPE = "https://prometheus.monitor.azure.com/.default"
AWS_SERVICE = "aps"
_Given = TypeVar("_Given")


class AuthError(Exception):
    """No credential came; `failure` says why, and whether another attempt may get one."""

    def __init__(self, reason: failure.Failure) -> None:
        super().__init__()
        self.failure = reason


class Expiring(Protocol):
    """A credential that comes from elsewhere."""

    kind: str  # in words that give nothing away

    def sign(self, request: requests.PreparedRequest) -> None:
        """Puts the credential into the headers. Raises AuthError, ConfigError."""

    def renew(self) -> bool:
        """Forgets what was kept, as the server refuses it; whether there was something."""

    def secrets(self) -> list[str]:
        """What must not be shown."""


def expiring(config: SourceConfig) -> Expiring | None:
    """The credential that `auth` names. Opening it asks nobody. Raises ConfigError where its library is missing."""
    makers: dict[str, Callable[[SourceConfig], Expiring]] = dict(zip(AUTHS, (OAuth2, Aws, Google, Azure), strict=True))
    return makers[config.auth](config) if config.auth else None


def _missing(auth: str, extra: str) -> ConfigError:
    return ConfigError(f"auth: {auth} needs a library; install it with `pip install 'slo[{extra}]'`")


class _NoAuth(AuthBase):
    """Keeps requests from sending what ~/.netrc says."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _Tokens:
    """Bearer tokens, kept until they expire. Thread-safe; `_fetch` gives a token and until when it is good (`time.time`)."""

    kind = "a bearer token"

    def __init__(self, config: SourceConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._token, self._until = "", 0.0
        self._shown: dict[str, None] = {}  # all tokens so far: a server may quote an old one

    def _fetch(self) -> tuple[str, float]:
        raise NotImplementedError

    def sign(self, request: requests.PreparedRequest) -> None:
        with self._lock:
            if not self._token or time.time() >= self._until:
                self._token, self._until = self._fetch()
                self._shown[self._token] = None
            request.headers["Authorization"] = f"Bearer {self._token}"

    def renew(self) -> bool:
        with self._lock:
            had, self._token = bool(self._token), ""
            return had

    def secrets(self) -> list[str]:
        return list(self._shown)


class OAuth2(_Tokens):
    """The client-credentials grant of RFC 6749, section 4.4; the client's own secret by HTTP Basic, or else in the form."""

    kind = "an OAuth 2 token"

    def __init__(self, config: SourceConfig) -> None:
        super().__init__(config)
        self._in_form = False
        self._http = requests.Session()
        self._http.mount("http://", BoundedAdapter())
        self._http.mount("https://", BoundedAdapter())
        self._http.auth = _NoAuth()
        self._http.verify = str(config.ca_cert) if config.ca_cert else True
        self._http.headers.update({"User-Agent": "slo", "Accept": "application/json", "Accept-Encoding": "identity"})

    def secrets(self) -> list[str]:
        secret = self._secret()
        pair = quote_plus(self._config.oauth2_client_id) + ":" + quote_plus(secret)
        own = (base64.b64encode(pair.encode()).decode(), secret, quote_plus(secret)) if secret else ()
        return [*super().secrets(), *own]

    def _secret(self) -> str:
        file = self._config.oauth2_client_secret_file
        return read_secret(file, "oauth2_client_secret_file").strip() if file else self._config.oauth2_client_secret

    def _fetch(self) -> tuple[str, float]:
        config = self._config
        form = {"grant_type": "client_credentials", "scope": config.oauth2_scopes, "audience": config.oauth2_audience}
        client = {"client_id": config.oauth2_client_id, "client_secret": self._secret()}
        asked_s = time.time()
        status, body = self._ask({key: text for key, text in form.items() if text}, client)
        try:
            answer: Any = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        where = f"the token server {config.oauth2_token_url}"
        if not isinstance(answer, dict):
            answer = {}
        token, lasts = answer.get("access_token"), answer.get("expires_in", 3600)
        if status == 200 and isinstance(token, str) and token.isascii() and token.isprintable() and token:
            lasts_s = float(lasts) if str(lasts).replace(".", "", 1).isdecimal() else 3600.0
            return token, asked_s + lasts_s - min(EARLY_S, lasts_s / 10)
        if status == 200:
            raise AuthError(failure.Failure(f"{where} answers without an access token; check oauth2_token_url"))
        reason = str(answer.get("error") or status)
        said = failure.text_of(
            f"{reason}{': ' if answer.get('error_description') else ''}{answer.get('error_description') or ''}".encode(),
            self._redacted,
        )
        again = status == 429 or status >= 500
        fix = "" if again else "; check oauth2_client_id, oauth2_client_secret and oauth2_scopes"
        raise AuthError(failure.Failure(f"{where} gives no token{said}{fix}", again))

    def _redacted(self, text: str) -> str:
        for secret in self.secrets():
            text = text.replace(secret, "…")
        return text

    def _ask(self, form: dict[str, str], client: dict[str, str]) -> tuple[int, bytes]:
        """Status and body. A server that does not take the secret in a header gets it in the form, from then on at once."""
        for in_form in (True,) if self._in_form else (False, True):
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            if not in_form:
                pair = ":".join(map(quote_plus, client.values()))
                headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            status, body = self._post(urlencode(form | (client if in_form else {})), headers)
            if status not in (400, 401) or in_form:
                self._in_form = in_form and status == 200
                break
        return status, body

    def _post(self, body: str, headers: dict[str, str]) -> tuple[int, bytes]:
        call = BoundedCall(time.monotonic() + TOKEN_S, TOKEN_BYTES)
        url = self._config.oauth2_token_url
        try:
            with (
                reading(call),
                self._http.post(
                    url, body, headers=headers, timeout=(5.0, TOKEN_S), allow_redirects=False, stream=True
                ) as response,
            ):
                content = response.raw.read(TOKEN_BYTES, decode_content=False)
                return response.status_code, bytes(content)
        except Exception as error:  # noqa: BLE001 - what a server sends can make the HTTP stack fail in ways of its own
            reason = failure.of_exception(error, TOKEN_S)
            raise AuthError(
                failure.Failure(f"no token of the token server {url}: {reason.statement}", reason.again)
            ) from None


class Google(_Tokens):
    """Google's default credentials: a service account's key, the metadata server, workload identity, or the user's own."""

    kind = "a token of Google's default credentials"

    def __init__(self, config: SourceConfig) -> None:
        super().__init__(config)
        try:
            import google.auth.transport.requests
        except ImportError:
            raise _missing("google", "gcp") from None
        self._library = google.auth
        self._transport = google.auth.transport.requests.Request()
        self._credentials: Any = None

    def _fetch(self) -> tuple[str, float]:
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError

        fix = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a key's file"
        try:
            if self._credentials is None:
                self._credentials, _ = self._library.default(scopes=[GOOGLE_SCOPE])
            self._credentials.refresh(self._transport)
        except DefaultCredentialsError:
            raise AuthError(failure.Failure(f"there are no default credentials of Google here; {fix}")) from None
        except TransportError:
            raise AuthError(failure.Failure("Google's token server cannot be reached", True)) from None
        except GoogleAuthError as error:
            statement = f"Google's default credentials give no token ({type(error).__name__}); {fix}"
            raise AuthError(failure.Failure(statement, bool(getattr(error, "retryable", False)))) from None
        expiry = self._credentials.expiry  # UTC, without a zone
        until_s = time.time() + 3600 if expiry is None else _seconds(expiry) - EARLY_S
        return str(self._credentials.token), until_s


def _seconds(moment: Any) -> float:
    """Unix seconds of a UTC datetime without a zone."""
    import calendar

    return float(calendar.timegm(moment.timetuple()))


class Azure(_Tokens):
    """Azure's default credential: the environment, workload and managed identity, or the command line's."""

    kind = "a token of Azure's default credential"

    def __init__(self, config: SourceConfig) -> None:
        super().__init__(config)
        try:
            import azure.identity
        except ImportError:
            raise _missing("azure", "azure") from None
        self._library = azure.identity
        self._credential: Any = None

    def renew(self) -> bool:
        self._credential = None  # it keeps tokens itself
        return super().renew()

    def _fetch(self) -> tuple[str, float]:
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        try:
            if self._credential is None:
                self._credential = self._library.DefaultAzureCredential(
                    managed_identity_client_id=self._config.azure_client_id or None
                )
            token = self._credential.get_token(self._config.azure_scope or AZURE_SCOPE)
        except ClientAuthenticationError:
            raise AuthError(
                failure.Failure(
                    "Azure's default credential gives no token; run `az login`, give this machine an identity (azure_client_id names one "
                    "of several), or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
                )
            ) from None
        except AzureError as error:
            raise AuthError(failure.Failure(f"Azure gives no token ({type(error).__name__})", True)) from None
        return str(token.token), float(token.expires_on) - EARLY_S


class Aws:
    """Signature Version 4 of each request, with the credentials that every tool of Amazon finds here."""

    kind = "a signature of Amazon's (SigV4)"

    def __init__(self, config: SourceConfig) -> None:
        try:
            import botocore.session
        except ImportError:
            raise _missing("aws", "aws") from None
        self._config, self._library = config, botocore.session
        self._lock = threading.Lock()
        self._credentials: Any = None
        self._region = config.aws_region
        self._shown: dict[str, None] = {}

    def sign(self, request: requests.PreparedRequest) -> None:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        keys = self._keys()
        # A `+` would be signed as it is, and read as a space.
        request.url = str(request.url).replace("+", "%20")
        body = request.body or b""
        signed = AWSRequest(str(request.method), request.url, headers={"Host": urlsplit(request.url).netloc}, data=body)
        SigV4Auth(keys, self._config.aws_service or AWS_SERVICE, self._region).add_auth(signed)
        for name in ("Authorization", "X-Amz-Date", "X-Amz-Security-Token"):
            request.headers.pop(name, None)
            if name in signed.headers:
                request.headers[name] = signed.headers[name]

    def renew(self) -> bool:
        with self._lock:
            had, self._credentials = self._credentials is not None, None
            return had

    def secrets(self) -> list[str]:
        return list(self._shown)

    def _keys(self) -> Any:
        from botocore.exceptions import BotoCoreError

        fix = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or aws_profile, or give this machine a role"
        try:
            with self._lock:
                if self._credentials is None:
                    session = self._library.Session(profile=self._config.aws_profile or None)
                    self._region = self._config.aws_region or session.get_config_variable("region") or ""
                    self._credentials = session.get_credentials()
                keys = None if self._credentials is None else self._credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise AuthError(
                failure.Failure(f"Amazon's credentials cannot be had ({type(error).__name__}); {fix}")
            ) from None
        if keys is None or not keys.access_key:
            raise AuthError(failure.Failure(f"there are no credentials of Amazon here; {fix}"))
        if not self._region:
            raise ConfigError("auth: aws needs the region of the workspace; set aws_region, such as eu-central-1")
        self._shown |= dict.fromkeys(filter(None, (keys.secret_key, keys.token)))
        return keys
