"""What can go wrong between us and a Prometheus, said plainly: what is wrong, and how to fix it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import orjson
import requests
import urllib3

from slo.errors import SourceError
from slo.redact import without_userinfo
from slo.window import format_duration

SLOW_FIX = "ask for a shorter time range, or raise SLO_TIMEOUT"
LOGIN_FIX = (
    "set SLO_BEARER_TOKEN or SLO_BEARER_TOKEN_FILE, SLO_BASIC_USER with SLO_BASIC_PASSWORD, SLO_CLIENT_CERT with "
    "SLO_CLIENT_KEY, SLO_AUTH, or SLO_HEADERS"
)
PATHS_FIX = (
    "check its path (Mimir: …/prometheus, a VictoriaMetrics cluster: …/select/0/prometheus, behind a proxy: its prefix)"
)
SHOWN = 300  # characters of a query or of an answer in a message


class TooManySamplesError(SourceError):
    """The query holds more samples than the server loads; a shorter time range has fewer."""


class OutOfTimeError(SourceError):
    """What may be asked for one SLO, or in one run, has taken its time: asking again helps nothing."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt: the statement, and whether (and after how many seconds) another one may go better."""

    statement: str
    again: bool = False
    retry_after_s: float | None = None
    kind: type[SourceError] = SourceError

    def error(self, name: str, attempts: int) -> SourceError:
        tried = f" (tried {attempts} times)" if attempts > 1 else ""
        asked = f"; it asks to come back in {self.retry_after_s:,.0f} s" if self.retry_after_s else ""
        return self.kind(f"{name}: {self.statement}{asked}{tried}")


def out_of_time(seconds: float, what: str, fix: str, setting: str) -> Failure:
    """The failure of a call for which no time is left, or which has used it up."""
    length = format_duration(max(1, round(seconds * 1000)))
    statement = f"what was asked {what} took longer than {length} in all; {fix}, or raise {setting}"
    return Failure(statement, kind=OutOfTimeError)


def of_exception(error: Exception, timeout_s: float) -> Failure:
    """The failure of a request that got no answer, or part of one. Quotes no exception's text, which may hold a URL."""
    text = f"{error!r} {error.__cause__!r} {error.__context__!r}"
    match error:
        case requests.TooManyRedirects():
            return Failure("it redirects in a loop; give the address that it should end at")
        case requests.exceptions.ProxyError():
            return Failure(
                "the proxy that the environment names (HTTP_PROXY, HTTPS_PROXY) cannot be used; correct it, or name "
                "this host in NO_PROXY",
                again=True,
            )
        case requests.exceptions.SSLError() | urllib3.exceptions.SSLError():
            return Failure(_tls(text))
        case _ if "certificate required" in text.lower() or "CERTIFICATE_REQUIRED" in text:
            return Failure(_tls(text))
        case requests.ConnectTimeout():
            return Failure("nobody answers at this address; check host and port, and that no firewall is between", True)
        case requests.ReadTimeout() | urllib3.exceptions.ReadTimeoutError() | TimeoutError():
            return Failure(f"it gave no answer for {timeout_s:g} s; {SLOW_FIX}")
        case (
            requests.exceptions.InvalidURL()
            | urllib3.exceptions.LocationValueError()
            | requests.exceptions.InvalidSchema()
        ):
            return Failure("it leads to an address that is not a server's; check the URL")
        case urllib3.exceptions.DecodeError():
            return Failure("its answer is not compressed as it says")
        case ValueError() | UnicodeError():
            return Failure(
                "its answer leads to an address that is none, or has headers that cannot be read; check the URL"
            )
        case _ if "NameResolutionError" in text or "gaierror" in text:
            return Failure("no such host name; check the URL, and the name service of this machine")
        case _ if "ConnectionRefusedError" in text or "Connection refused" in text:
            return Failure("nothing listens there (connection refused); is the server up, and the port right?", True)
        case urllib3.exceptions.IncompleteRead() | urllib3.exceptions.ProtocolError():
            return Failure("the connection broke in the middle of the answer", True)
        case _:
            return Failure("the connection broke before an answer came", True)


def _tls(text: str) -> str:
    upper = text.upper()
    if "CERTIFICATE REQUIRED" in upper or "CERTIFICATE_REQUIRED" in upper or "HANDSHAKE_FAILURE" in upper:
        return "it wants a client certificate; set SLO_CLIENT_CERT and SLO_CLIENT_KEY"
    if "CERTIFICATE_VERIFY_FAILED" in upper:
        return "its certificate is not trusted here; set SLO_CA_CERT to the authority's certificate, and check the host"
    if "WRONG_VERSION_NUMBER" in upper or "RECORD_LAYER" in upper:
        return "it does not speak TLS; write http:// instead of https://"
    return "no secure connection can be made; check SLO_CA_CERT, SLO_CLIENT_CERT and SLO_CLIENT_KEY"


def of_answer(
    status: int,
    body: bytes,
    *,
    again: bool,
    retry_after_s: float | None,
    query: str,
    credential: str,
    moved: str | None,
    redact: Callable[[str], str],
) -> Failure:
    """The failure that an answer reports. `again`: whether its status is one that may pass; `redact` takes out of the
    server's words what must not be shown."""
    error_type, said = _prometheus_error(body)
    said, text = _short(redact(said)), _short(redact(body[: 1 << 16].decode("utf-8", errors="replace")))
    at_query = f"; the query is {_short(query)}" if query else ""
    moved = f" (it redirected to {redact(_bare(moved))})" if moved else ""
    match status, error_type:
        case (401, _):
            return Failure(f"it asks for a login (401), and {credential} was sent; {LOGIN_FIX}{moved}")
        case (403, _):
            return Failure(f"it forbids this (403) to {credential}{_said(said)}; {LOGIN_FIX}{moved}")
        case (_, "timeout"):
            return Failure(f"it gave up the query at its own time limit ({said}); {SLOW_FIX}{at_query}")
        case (_, "execution" | "422") if "too many samples" in said:
            return Failure(f"it refuses to load so many samples ({said}){at_query}", kind=TooManySamplesError)
        case (_, "bad_data" | "400"):
            return Failure(f"it does not accept the query: {said}{at_query}{moved}")
        case (_, "execution" | "422"):
            return Failure(f"it cannot evaluate the query: {said}{at_query}")
        case (429, _):
            return Failure(f"it has too much to do (429{_said(said)})", True, retry_after_s)
        case _ if error_type:
            return Failure(f"it failed ({status} {error_type}): {said}{at_query}{moved}", again, retry_after_s)
        case (404 | 405, _):
            return Failure(f"there is no Prometheus API at this address ({status}){moved}; {PATHS_FIX}")
        case (_, _) if _is_html(body):
            page = f"a web page{redact(_title(body))} ({status})"
            return Failure(f"it answered with {page}, not with data: a login or error page{moved}; {PATHS_FIX}", again)
        case (200, _):
            return Failure(f"its answer is not one of Prometheus's API{_said(text)}{moved}; {PATHS_FIX}")
        case (502 | 503 | 504, _):
            return Failure(f"it is not ready or overloaded ({status}{_said(text)})", again, retry_after_s)
        case _:
            return Failure(f"it answered {status}{_said(text)}{moved}", again, retry_after_s)


def text_of(body: bytes, redact: Callable[[str], str]) -> str:
    """What a server says in plain text, to be put behind a statement; nothing where it says nothing."""
    return _said(_short(redact(body[: 1 << 16].decode("utf-8", errors="replace"))))


def _prometheus_error(body: bytes) -> tuple[str, str]:
    """errorType and error of Prometheus's JSON, empty where there is none."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", ""
    if not isinstance(document, dict) or document.get("status") != "error":
        return "", ""
    return str(document.get("errorType") or "error"), str(document.get("error") or "no reason given")


def _is_html(body: bytes) -> bool:
    return body[:200].lstrip().lower().startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<"))


def _title(body: bytes) -> str:
    match = re.search(rb"<title[^>]*>\s*(.{1,80}?)\s*</title>", body[:20_000], re.IGNORECASE | re.DOTALL)
    return f" called {_short(match[1].decode('utf-8', errors='replace'))!r}" if match else ""


def _said(text: str) -> str:
    return f": {text}" if text else ""


def _short(text: str) -> str:
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _bare(url: str) -> str:
    return without_userinfo(url.partition("?")[0])
