"""The one place that talks HTTP to a Prometheus: time-outs, retries, credentials, limits, and errors in plain words.

prometheus-api-client forms the requests and reads `data.result`; the session that it is given does the rest and keeps
the full answer. Neither the library's own retries (they repeat queries that timed out) nor its POST (it leaves the
query in the URL) are used.
"""

from __future__ import annotations

import base64
import email.utils
import random
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit, urlunsplit

import requests
import urllib3
from requests.auth import AuthBase

from slo.errors import ConfigError, SloError
from slo.limits import deadlines
from slo.redact import is_word, looks_secret, without_userinfo
from slo.source import failure
from slo.source.answer import ServerAnswer, parse
from slo.source.auth import AuthError, expiring
from slo.source.bounded import BoundedAdapter, BoundedCall, LateError, TooLargeError, reading
from slo.source.config import HOST_AND_PORT, SourceConfig, read_secret
from slo.source.limited import Worker

LONGEST_URL = 2000  # bytes of query string; longer queries go as a form in the body of a POST
READ_BYTES = 1 << 18
# A page that servers may lack is worth few seconds, and is small. So is the page of an error.
PEEK_S, PEEK_BYTES = 5.0, 1 << 20
ERROR_BYTES = 1 << 20
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AGAIN = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, how soon and how long a call is tried. Seconds."""

    connect_s: float = 5.0
    attempts: int = 4
    backoff_s: float = 0.5  # doubled with each attempt, and up to half of it taken off at random
    longest_wait_s: float = 30.0  # a server that asks for more by Retry-After is given up
    total_factor: float = 4.0  # all attempts of a call together: this many read time-outs


DEFAULT_RETRIES = RetryPolicy()
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server says that is no answer to a query: any status but those that were tried again."""

    status: int
    body: bytes


class Credentials(AuthBase):
    """Sets the Authorization header; token and password files are read anew each time, since they are rotated.

    Being there even when there is nothing to set, it keeps requests from sending what ~/.netrc says.
    """

    def __init__(self, config: SourceConfig, name: str) -> None:
        self._config = config
        self._expiring = expiring(config)
        # What it asks, such as a library's own servers, has no more time than all the rest.
        self._asking = Worker(f"{name}: the credential", config, "check where it comes from")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Raises AuthError, ConfigError."""
        if self._expiring is not None:
            credential = self._expiring
            self._asking.run(lambda: credential.sign(request))
            return request
        for secret in self.secrets()[:1]:
            request.headers["Authorization"] = secret
        return request

    def renew(self) -> bool:
        """Has the next request ask for a new credential, where it is one that expires; whether that may help."""
        return self._expiring is not None and self._expiring.renew()

    def secrets(self) -> list[str]:
        """The header's value first, then every part of it that must not be shown."""
        config = self._config
        if self._expiring is not None:
            return self._expiring.secrets()
        if config.basic_user:
            file = config.basic_password_file
            password = read_secret(file, "basic_password_file").rstrip("\r\n") if file else config.basic_password
            packed = base64.b64encode(f"{config.basic_user}:{password}".encode()).decode()
            return [f"Basic {packed}", packed, password, quote(password, safe="")]
        file = config.bearer_token_file
        if token := (read_secret(file, "bearer_token_file").strip() if file else config.bearer_token):
            return [f"Bearer {token}", token]
        return []

    @property
    def kind(self) -> str:
        """What is sent, in words that give nothing away."""
        config = self._config
        if self._expiring is not None:
            return self._expiring.kind
        if config.basic_user:
            return "a user with a password"
        if config.bearer_token or config.bearer_token_file:
            return "a bearer token"
        if any(name.lower() == "authorization" for name, _ in config.headers):
            return "an Authorization header"
        return "a client certificate" if config.client_cert else "no credential"


class Session(requests.Session):
    """A session whose every request is bounded in time and size, retried where that helps, and parsed once.

    Thread-safe: `take_answer` gives the answer of the calling thread's last request.
    """

    def __init__(self, address: SplitResult, name: str, config: SourceConfig, retry_policy: RetryPolicy) -> None:
        super().__init__()
        self._address, self._name, self._config, self._patience = address, name, config, retry_policy
        self._credentials = Credentials(config, name)
        self._local = threading.local()
        self.auth = self._credentials
        own = {"User-Agent": "slo", "Accept": "application/json", "Accept-Encoding": "gzip"}
        self.headers.update({**own, **dict(config.sent_headers)})
        self._bounded = BoundedAdapter()
        self.max_redirects = 5
        self.verify = str(config.ca_cert) if config.ca_cert else True
        if config.client_cert:
            self.cert = (
                (str(config.client_cert), str(config.client_key)) if config.client_key else str(config.client_cert)
            )

    def take_answer(self) -> ServerAnswer:
        answer: ServerAnswer = self._local.answer
        del self._local.answer
        return answer

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """One call of the API, attempts and all. Raises SourceError."""
        params: dict[str, str] = kwargs.pop("params", None) or {}
        kwargs |= {"params": params} if len(urlencode(params)) <= LONGEST_URL else {"data": params}
        method = "POST" if "data" in kwargs else "GET"
        outcome = self._until_it_works(
            lambda call: self._attempt(method, str(url), call, params.get("query", ""), kwargs)
        )
        self._local.answer = outcome
        return _ParsedAnswer(outcome)

    def exchange(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One call of another API than that of queries, such as a ruler's; what it does must be the same when it is done twice.

        Bounded and retried as a query is, after 500 too, and with the same credentials. A redirect is not followed. Raises SourceError.
        """
        timeout = (self._patience.connect_s, self._config.timeout_s)
        kwargs = {"data": body, "headers": dict(headers or {}), "timeout": timeout, "allow_redirects": False}
        return self._until_it_works(lambda call: self._exchanged(method, url, call, kwargs))

    def _exchanged(
        self, method: str, url: str, call: BoundedCall, kwargs: Mapping[str, Any]
    ) -> Reply | failure.Failure:
        def work() -> Reply | failure.Failure:
            with reading(call), super(Session, self).request(method, url, stream=True, **kwargs) as response:
                good = 200 <= response.status_code < 300
                content = bytes(_body(response, call, call.limit if good else ERROR_BYTES, cut=not good))
                if self._refused(response.status_code, call):
                    return failure.Failure("it refuses a new credential", True, 0.0)
                if response.status_code in AGAIN or response.status_code == 500:
                    said = failure.text_of(content, self.redact)
                    retry_s = _retry_after(response.headers.get("Retry-After"))
                    return failure.Failure(f"it answered {response.status_code}{said}", True, retry_s)
                return Reply(response.status_code, content)

        return self._failing_well(call, work)

    def _refused(self, status: int, call: BoundedCall) -> bool:
        """Whether an answer may mean that the credential has expired before its time, so that a new one is worth a try: one a call."""
        if status not in (401, 403) or call.renewed or not self._credentials.renew():
            return False
        call.renewed = True
        return True

    def _until_it_works(self, attempted: Callable[[BoundedCall], Outcome | failure.Failure]) -> Outcome:
        """The outcome of a call, attempts and all. Raises SourceError."""
        deadline = min(time.monotonic() + self._budget_s, *self._deadlines())
        call = BoundedCall(deadline, self._config.max_response_bytes)
        for attempt in range(1, self._patience.attempts + 1):
            outcome = attempted(call)
            if not isinstance(outcome, failure.Failure):
                return outcome
            wait = outcome.retry_after_s
            if wait is None:
                wait = self._patience.backoff_s * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)  # noqa: S311
            last = attempt == self._patience.attempts
            late = wait > self._patience.longest_wait_s or time.monotonic() + wait > deadline
            if not outcome.again or last or late:
                raise outcome.error(self._name, attempt)
            time.sleep(wait)
        raise AssertionError("unreachable")

    def peek(self, url: str, most_bytes: int = PEEK_BYTES, most_s: float = PEEK_S) -> bytes | None:
        """The body of a page that a server may have or not, asked for once and not for long; None where no answer comes.

        Any other answer than 200 is an empty one. With the same credentials as a query, and sent as carefully.
        """
        connect_s = self._patience.connect_s
        read_s = min(most_s, self._config.timeout_s)
        call = BoundedCall(min(time.monotonic() + read_s, *self._deadlines()), most_bytes)
        try:
            with (
                reading(call),
                super().request("GET", url, stream=True, timeout=(min(connect_s, read_s), read_s)) as response,
            ):
                return bytes(_body(response, call, most_bytes)) if response.status_code == 200 else b""
        except Exception:  # noqa: BLE001 - whatever a server does here, it is only asked for a courtesy
            return None

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Sends one hop; one that a redirect has led to another server goes without credentials."""
        if not self._is_home(str(request.url)):
            for header in (
                "Authorization",
                "X-Amz-Security-Token",
                "Cookie",
                *(name for name, _ in self._config.sent_headers),
            ):
                request.headers.pop(header, None)
            kwargs["cert"] = None
        return super().send(request, **kwargs)

    def get_adapter(self, url: str | bytes) -> BoundedAdapter:
        """The one whose reading is bounded; prometheus-api-client mounts another one for its server."""
        if str(url).lower().startswith(("http://", "https://")):
            return self._bounded
        raise requests.exceptions.InvalidSchema

    def close(self) -> None:
        """Closes the connections."""
        self._bounded.close()
        super().close()

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a redirect leads; its body, which requests would read whole and unpack, is not looked at."""
        target = super().get_redirect_target(resp)
        if target is not None and not resp._content_consumed:  # type: ignore[attr-defined]
            resp.raw.close()
            resp._content = b""
            resp._content_consumed = True  # type: ignore[attr-defined]
        return target

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """`send` decides on the credentials of each hop; requests would ask ~/.netrc for the new host."""

    def _is_home(self, url: str) -> bool:
        home, there = self._address, urlsplit(url)
        if home.hostname != there.hostname:
            return False
        same = home.scheme == there.scheme and _port(home) == _port(there)
        return same or (home.scheme == "http" and there.scheme == "https" and _port(home) == 80 and _port(there) == 443)

    def _attempt(
        self, method: str, url: str, call: BoundedCall, query: str, kwargs: Mapping[str, Any]
    ) -> ServerAnswer | failure.Failure:
        def work() -> ServerAnswer | failure.Failure:
            with reading(call), super(Session, self).request(method, url, stream=True, **kwargs) as response:
                good = response.status_code == 200
                body = _body(response, call, call.limit if good else ERROR_BYTES, cut=not good)
                moved = response.url if response.history else None
                if good and (answer := parse(body)) is not None:
                    return answer
                if self._refused(response.status_code, call):
                    return failure.Failure("it refuses a new credential", True, 0.0)
                return failure.of_answer(
                    response.status_code,
                    bytes(body[:ERROR_BYTES]),
                    again=response.status_code in AGAIN,
                    retry_after_s=_retry_after(response.headers.get("Retry-After")),
                    query=query,
                    credential=self._credentials.kind,
                    moved=moved,
                    redact=self.redact,
                )

        return self._failing_well(call, work)

    def _failing_well(
        self, call: BoundedCall, work: Callable[[], Outcome | failure.Failure]
    ) -> Outcome | failure.Failure:
        """What is done, or why it failed, in words."""
        try:
            call.check()
            return work()
        except SloError:
            raise
        except AuthError as error:
            return error.failure
        except LateError:
            return self._late()
        except TooLargeError:
            return failure.Failure(
                f"the answer is larger than {call.limit / (1 << 20):,.0f} MiB; narrow the matchers or the time range, or raise "
                "SLO_MAX_RESPONSE"
            )
        except Exception as error:  # noqa: BLE001 - what a server sends can make the HTTP stack fail in ways of its own
            return failure.of_exception(error, self._config.timeout_s)

    def _late(self) -> failure.Failure:
        """Which of the deadlines has passed."""
        objective, run = (until <= time.monotonic() for until in self._deadlines())
        if run:
            return failure.out_of_time(self._config.run_s, "in this run", "name fewer SLOs", "SLO_TIMEOUT_RUN")
        if objective:
            return failure.out_of_time(
                self._config.objective_s, "for this SLO", "narrow the matchers", "SLO_TIMEOUT_OBJECTIVE"
            )
        return failure.Failure(f"its answer took longer than {self._budget_s:g} s in all; {failure.SLOW_FIX}")

    def _deadlines(self) -> tuple[float, float]:
        return deadlines(self._config.objective_s, self._config.run_s)

    @property
    def _budget_s(self) -> float:
        return self._config.timeout_s * self._patience.total_factor

    def redact(self, text: str) -> str:
        """What a server says may quote what it was sent."""
        secrets = [*self._credentials.secrets(), *(value for _, value in self._config.headers)]
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, "…")
        return text


def _body(response: requests.Response, call: BoundedCall, limit: int, cut: bool = False) -> bytearray:
    """The body, unpacked as it comes, never more than `limit` bytes of it at once; beyond, it is cut or TooLargeError raised."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip", "deflate"):
        raise urllib3.exceptions.DecodeError(f"the encoding {encoding!r} was not asked for")
    unpack = None if encoding in ("identity", "") else _Unpacker()
    body = bytearray()
    while chunk := response.raw.read1(READ_BYTES, decode_content=False):
        call.check()
        while chunk:
            piece, chunk = (chunk, b"") if unpack is None else unpack.some(chunk)
            body += piece
            if len(body) > limit:
                if cut:
                    return body[:limit]
                raise TooLargeError
            call.check()
    if unpack is not None and body and not unpack.whole and not cut:
        raise urllib3.exceptions.ProtocolError("the compressed answer ends early")
    return body


class _Unpacker:
    """gzip (any number of members) and zlib, a bounded piece at a time: a few bytes can hold gigabytes."""

    def __init__(self) -> None:
        self._part = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self.whole = False

    def some(self, chunk: bytes) -> tuple[bytes, bytes]:
        """Some of what is in a chunk, and the rest of the chunk. Raises DecodeError."""
        if self.whole:
            self._part, self.whole = zlib.decompressobj(zlib.MAX_WBITS | 32), False
        try:
            piece = self._part.decompress(chunk, READ_BYTES)
        except zlib.error as error:
            raise urllib3.exceptions.DecodeError(str(error)) from None
        self.whole = self._part.eof
        return piece, self._part.unused_data if self.whole else self._part.unconsumed_tail


class _ParsedAnswer(requests.Response):
    """A good answer that is parsed already."""

    def __init__(self, answer: ServerAnswer) -> None:
        super().__init__()
        self.status_code = 200
        self._document = answer.document

    def json(self, **_: Any) -> Any:
        return self._document


class Api:
    """The two calls that everything rests on, by way of prometheus-api-client."""

    def __init__(
        self, url: str, load_config: Callable[[str, str], SourceConfig], retry_policy: RetryPolicy = DEFAULT_RETRIES
    ) -> None:
        address, user, password = split_url(url)
        config = load_config(user, password)
        self.name = urlunsplit(address)
        self._session = Session(address, self.name, config, retry_policy)
        # The server gives up just before we do, and says so in its own words, instead of working on for nobody.
        # VictoriaMetrics moves a range's start and end to multiples of the step unless it is asked not to cache.
        self._limits = dict(config.params) | {"timeout": f"{max(1, round(config.timeout_s * 950))}ms", "nocache": "1"}
        self._connect = _client(self.name, self._session, (retry_policy.connect_s, config.timeout_s))

    def query(self, query: str, at_ms: int | None) -> ServerAnswer:
        """An instant query; None asks for the server's present. Raises SourceError."""
        time = {} if at_ms is None else {"time": seconds(at_ms)}
        self._connect.custom_query(query, params={**time, **self._limits})
        return self._session.take_answer()

    def query_range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> ServerAnswer:
        """A range query of at most 11,000 steps. Raises SourceError."""
        exact = {"start": seconds(start_ms), "end": seconds(end_ms), **self._limits}
        self._connect.custom_query_range(query, EPOCH, EPOCH, seconds(step_ms), params=exact)
        return self._session.take_answer()

    def page(self, path: str, most_bytes: int = PEEK_BYTES, most_s: float = PEEK_S) -> bytes | None:
        """A page of the server alongside its queries, such as `/api/v1/status/flags`; empty where it has none, None where no answer comes."""
        return self._session.peek(f"{self.name}{path}", most_bytes, most_s)

    def redact(self, text: str) -> str:
        """A text of the server without what must not be shown."""
        return self._session.redact(text)

    def close(self) -> None:
        self._session.close()


def _client(url: str, session: Session, timeout_s: tuple[float, float]) -> Any:
    from prometheus_api_client import PrometheusConnect  # it brings its own date parser, and pandas where installed

    never = urllib3.Retry(0, read=False, redirect=False)
    return PrometheusConnect(url=url, session=session, retry=never, timeout=timeout_s)


def seconds(ms: int) -> str:
    """Milliseconds as the API takes them, to the last digit."""
    sign, ms = ("-", -ms) if ms < 0 else ("", ms)
    return f"{sign}{ms // 1000}.{ms % 1000:03d}"


def split_url(url: str) -> tuple[SplitResult, str, str]:
    """The address without user, password and trailing slash, then those two. Raises ConfigError."""
    shown = _shown(url)
    if len(url) > LONGEST_URL:
        raise ConfigError(f"{shown[:100]}…: {len(url):,} characters are not server's address; write http://host:9090")
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"{shown}: not a URL; write http://host:9090") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{shown}: not the URL of a server; write http://host:9090")
    if "@" in parts.path + parts.query + parts.fragment:
        # `http://user:12/34@host` names the host `user`: nothing of it may be shown, or asked.
        raise ConfigError(
            f"{shown}: has an `@` behind the host; in a user or password write `/` as %2F, `?` as %3F, `#` as %23 and `@` "
            "as %40, or set SLO_BASIC_USER and SLO_BASIC_PASSWORD instead"
        )
    if parts.query or parts.fragment:
        raise ConfigError(f"{shown}: give the server's address without `?` and `#`")
    netloc = f"[{host}]" if ":" in host else host
    netloc += f":{port}" if port is not None else ""
    path = parts.path.rstrip("/").removesuffix("/api/v1").rstrip("/")
    return SplitResult(parts.scheme, netloc, path, "", ""), unquote(parts.username or ""), unquote(parts.password or "")


def _shown(url: str) -> str:
    """An address as a message shows it: no user, no password, and nothing after `?` and `#`, which may hold a token; of what
    is not an address by its look nothing, as it may be one."""
    shown = without_userinfo(url).partition("?")[0].partition("#")[0]
    is_address = (
        "//" in shown or HOST_AND_PORT.fullmatch(shown) or ("." in shown and not looks_secret(shown)) or is_word(shown)
    )
    return shown if is_address else "the address (not shown, as it may be a secret)"


def _port(address: SplitResult) -> int:
    return address.port or (443 if address.scheme == "https" else 80)


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, of a header that holds seconds or a date."""
    if value is None:
        return None
    value = value.strip()[:100]
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
