"""How a Prometheus is reached: credentials, certificates, headers and limits, from the environment and a YAML file.

Never from a definition: definitions are shared and reviewed, credentials are not. What the environment says wins over
the file, setting by setting. The settings are those of `SETTINGS`; docs/sources.md lists them for people.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml

from slo.errors import ConfigError, DurationError
from slo.files import read_text, read_up_to, reads_as_path
from slo.redact import HIDDEN, is_word
from slo.suggest import unknown_key
from slo.window import parse_duration

GIB = 1 << 30

# The setting's key under `source:` in the file; its environment variable is SLO_ and the key in capitals.
AUTHS = ("oauth2", "aws", "google", "azure")
OAUTH2 = ("oauth2_token_url", "oauth2_client_id", "oauth2_client_secret", "oauth2_scopes", "oauth2_audience")
CLOUDS = ("aws_region", "aws_profile", "aws_service", "azure_scope", "azure_client_id")
TEXTS = ("bearer_token", "basic_user", "basic_password", "auth", *OAUTH2, *CLOUDS, "tenant")
FILES = (
    "bearer_token_file",
    "basic_password_file",
    "oauth2_client_secret_file",
    "client_cert",
    "client_key",
    "ca_cert",
)
TIMES = ("timeout", "timeout_objective", "timeout_run")
SETTINGS = (*TEXTS, *FILES, "headers", "params", *TIMES, "max_response")
SECTIONS = ("source", "sources")
TENANT = "X-Scope-OrgID"  # of Mimir, Cortex and Loki
OWN_PARAMS = ("query", "time", "start", "end", "step", "timeout")

HOST_AND_PORT = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}(?:/[^?#]*)?")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What was meant as a time: a small number, with a unit.
_LIKE_A_TIME = re.compile(
    r"-?[0-9]{1,6}(?:[.,][0-9]{1,3})?(?:\s*(?:ms|s|sec|seconds?|m|min|minutes?|h|hours?|d|days?))?"
)
_SIZE = re.compile(r"([0-9]{1,15})\s*(B|KiB|MiB|GiB|)")
_BYTES = {"B": 1, "": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": GIB}


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Settings that hold together. Secrets are kept out of the repr."""

    bearer_token: str = field(default="", repr=False)
    bearer_token_file: Path | None = None
    basic_user: str = field(default="", repr=False)
    basic_password: str = field(default="", repr=False)
    basic_password_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    ca_cert: Path | None = None
    auth: str = ""  # one of AUTHS
    oauth2_token_url: str = ""
    oauth2_client_id: str = ""
    oauth2_client_secret: str = field(default="", repr=False)
    oauth2_client_secret_file: Path | None = None
    oauth2_scopes: str = ""
    oauth2_audience: str = ""
    aws_region: str = ""
    aws_profile: str = ""
    aws_service: str = ""
    azure_scope: str = ""
    azure_client_id: str = ""
    tenant: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    params: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # of each query
    timeout_s: float = 60.0
    # All that is asked for one SLO, and in one run, together; None: as much as `objective_s` and `run_s` say.
    timeout_objective_s: float | None = None
    timeout_run_s: float | None = None
    max_response_bytes: int = GIB

    @property
    def objective_s(self) -> float:
        """Seconds that one SLO may be asked for: five minutes, or five time-outs where these are longer."""
        return max(300.0, 5 * self.timeout_s) if self.timeout_objective_s is None else self.timeout_objective_s

    @property
    def run_s(self) -> float:
        """Seconds that one run may ask: an hour, or as long as twelve SLOs may take."""
        return max(3600.0, 12 * self.objective_s) if self.timeout_run_s is None else self.timeout_run_s

    @property
    def has_credentials(self) -> bool:
        """Whether it holds something that is meant for one server."""
        given = (
            self.bearer_token,
            self.bearer_token_file,
            self.basic_user,
            self.headers,
            self.client_cert,
            self.auth,
            self.tenant,
        )
        return any(given)

    @property
    def sent_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers of each request, the tenant's among them."""
        return (*self.headers, *(((TENANT, self.tenant),) if self.tenant else ()))

    def __post_init__(self) -> None:
        bearer = bool(self.bearer_token or self.bearer_token_file)
        basic = bool(self.basic_user or self.basic_password or self.basic_password_file)
        authorization = any(name.lower() == "authorization" for name, _ in self.headers)
        if bearer + basic + authorization + bool(self.auth) > 1:
            raise ConfigError(
                "more than one credential is set; keep one of a bearer token (SLO_BEARER_TOKEN or "
                "SLO_BEARER_TOKEN_FILE), a user with a password (SLO_BASIC_USER), SLO_AUTH, or an Authorization header"
            )
        self._check_auth()
        if self.tenant and any(name.lower() == TENANT.lower() for name, _ in self.headers):
            raise ConfigError(f"both tenant and the header {TENANT} are set; keep one")
        for kind, value, file in (
            ("bearer_token", self.bearer_token, self.bearer_token_file),
            ("basic_password", self.basic_password, self.basic_password_file),
            ("oauth2_client_secret", self.oauth2_client_secret, self.oauth2_client_secret_file),
        ):
            if value and file:
                raise ConfigError(f"both {kind} and {kind}_file are set; keep one")
        if basic and not self.basic_user:
            raise ConfigError("a password is set without a user; set SLO_BASIC_USER too")
        if self.client_key and not self.client_cert:
            raise ConfigError("client_key is set without client_cert; set SLO_CLIENT_CERT too")
        for key in TIMES:
            if (seconds := getattr(self, f"{key}_s")) is not None and seconds <= 0:
                raise ConfigError(f"{key} must be longer than nothing, such as {'60s' if key == 'timeout' else '10m'}")
        if self.max_response_bytes <= 0:
            raise ConfigError("max_response must be larger than nothing, such as 1GiB")

    def _check_auth(self) -> None:
        """Raises ConfigError where settings of one way to log in are set without it, or it lacks some."""
        if self.auth and self.auth not in AUTHS:
            close = [f"; did you mean `{word}`?" for word in get_close_matches(self.auth, AUTHS, n=1)]
            raise ConfigError(f"auth: its value is not one of {', '.join(AUTHS)}{''.join(close)}")
        for key in (*OAUTH2, "oauth2_client_secret_file", *CLOUDS):
            kind = key.partition("_")[0]
            if getattr(self, key) and self.auth != kind:
                raise ConfigError(f"{key} is set without `auth: {kind}`; set SLO_AUTH={kind} too")
        if self.auth == "oauth2":
            secret = self.oauth2_client_secret or self.oauth2_client_secret_file
            for key, value in (
                ("oauth2_token_url", self.oauth2_token_url), ("oauth2_client_id", self.oauth2_client_id), ("oauth2_client_secret", secret),
            ):  # fmt: skip
                if not value:
                    raise ConfigError(f"auth: oauth2 needs {key}; set SLO_{key.upper()} too")
            if not self.oauth2_token_url.startswith(("http://", "https://")) or "@" in self.oauth2_token_url:
                raise ConfigError(
                    "oauth2_token_url must be an http(s) address without a user, such as https://login.example.com/token"
                )


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    user: str = "",
    password: str = "",
) -> SourceConfig:
    """The settings of the file at `path` (none: the one that SLO_CONFIG names, if any) under those of the environment.

    `user` and `password` are those of the URL, where it has some. Raises ConfigError.
    """
    environ = os.environ if environ is None else environ
    path = path or environ.get("SLO_CONFIG") or None
    settings: dict[str, Any] = {}
    if path:
        settings = _settings(_read_file(Path(path)).get("source") or {}, f"{path}: source", Path(path).parent)
    for key in SETTINGS:
        name = f"SLO_{key.upper()}"
        if environ.get(name):
            settings = _override(settings, key, _setting(key, environ[name], name, Path()))
    if user:
        if any(key.startswith(("bearer_", "basic_", "auth")) for key in settings):
            raise ConfigError(
                "the URL holds a user and password, and the environment or the configuration file sets a "
                "credential as well; keep one, better the latter"
            )
        settings |= {"basic_user": user, "basic_password": password}
    return SourceConfig(**settings)


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A source of the file's `sources`: the SLOs that it is for (a pattern of services or ids), its address and settings."""

    of: str
    address: str
    config: SourceConfig


def sources(
    path: str | os.PathLike[str] | None = None, *, environ: Mapping[str, str] | None = None
) -> tuple[NamedSource, ...]:
    """The `sources` of the file at `path` (none: the one that SLO_CONFIG names), in their order; relative paths start at its folder.

    Of each only what stands there counts, nothing of the environment: a credential is for one server. Raises ConfigError.
    """
    environ = os.environ if environ is None else environ
    path = path or environ.get("SLO_CONFIG") or None
    if not path:
        return ()
    place = Path(path)
    section = _read_file(place).get("sources") or {}
    if not isinstance(section, dict):
        raise ConfigError(
            f"{place}: sources: a mapping of services to addresses is expected, such as `shop: http://host:9090`"
        )
    named_sources = []
    for number, (of, entry) in enumerate(section.items(), 1):
        where = f"{place}: sources.{of}" if is_word(str(of)) else f"{place}: sources, entry {number}"
        own = {"url": entry} if isinstance(entry, str) else entry
        _expect_mapping(own, where, ("url", *SETTINGS))
        url = own.get("url")
        if not isinstance(url, str) or not url.strip():
            raise ConfigError(f"{where}: `url` is missing: the address of a server, or the path of a recording")
        if not names_a_source(url, place.parent):
            raise ConfigError(
                f"{where}: is neither the address of a server, such as http://host:9090, nor a file that is there, and not shown, "
                "as it may be a secret"
            )
        settings = _settings({key: value for key, value in own.items() if key != "url"}, where, place.parent)
        sibling = place.parent / Path(url).expanduser()
        named_sources.append(NamedSource(str(of), str(sibling) if sibling.exists() else url, SourceConfig(**settings)))
    return tuple(named_sources)


def names_a_source(text: str, folder: Path) -> bool:
    """Whether a text of a configuration is an address, a file that is there, or what reads as a file's name.

    What is none of them may be a credential that stands in the wrong place: no message names it.
    """
    is_address = re.match(r"\s*[A-Za-z][A-Za-z0-9+.-]*://", text) or HOST_AND_PORT.fullmatch(text.strip())
    return bool(is_address) or reads_as_path(str(Path(text).expanduser()), folder)


def _override(settings: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A credential in the environment replaces the file's, whether that is given as text or as a file's name."""
    twin = key.removesuffix("_file") if key.endswith("_file") else f"{key}_file"
    return {name: old for name, old in settings.items() if name != twin} | _named(key, value)


def _named(key: str, value: Any) -> dict[str, Any]:
    return {f"{key}_s" if key in TIMES else {"max_response": "max_response_bytes"}.get(key, key): value}


class _PlainLoader(yaml.BaseLoader):
    """Every scalar is a text, as it was written: no YAML 1.1 surprises in a password; duplicate keys are refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, "duplicate", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = read_text(path)
    except FileNotFoundError:
        shown = f"{path}: " if reads_as_path(str(path)) else ""
        raise ConfigError(f"{shown}no such configuration file; check SLO_CONFIG or --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {_reason(error)}") from None
    try:
        content: Any = yaml.load(text, _PlainLoader)  # noqa: S506 - it makes nothing but texts, lists and mappings
    except yaml.YAMLError as error:
        # The parser's own message quotes the line, which may hold a password.
        raise ConfigError(_yaml_place(path, error)) from None
    if not content:
        return {}
    _expect_mapping(content, f"{path}", SECTIONS)
    sections: dict[str, Any] = content
    return sections


def _settings(section: Any, where: str, folder: Path) -> dict[str, Any]:
    _expect_mapping(section, where, SETTINGS)
    settings: dict[str, Any] = {}
    for key, value in section.items():
        settings |= _named(key, _setting(key, value, f"{where}.{key}", folder))
    return settings


def _yaml_place(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
    if isinstance(error, yaml.constructor.ConstructorError):
        return f"{place}: this key is there twice; keep one"
    return f"{place}: not YAML; put values with special characters in quotes"


def _expect_mapping(content: object, where: str, known: tuple[str, ...]) -> None:
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: a mapping is expected, with keys of {', '.join(known)}")
    for key in content:
        if key not in known:
            raise ConfigError(f"{where}: {unknown_key(str(key), known, secret=True)}")


def _setting(key: str, value: object, where: str, folder: Path) -> Any:
    """The value of one setting, checked; `where` names it in errors, `folder` is where relative paths start."""
    if key == "headers":
        return _headers(value, where)
    if key == "params":
        return _params(value, where)
    if not isinstance(value, str):
        raise ConfigError(f"{where}: a text is expected")
    if key in TIMES:
        return _timeout_s(value.strip(), where)
    if key == "max_response":
        return _bytes(value.strip(), where)
    if key in FILES:
        file = folder / Path(value).expanduser()
        _check_file(key, file, where)
        return file
    if key in ("bearer_token", "tenant"):
        return _header_value(value.strip(), where)
    return _no_control(value, where)


def _timeout_s(text: str, where: str) -> float:
    """Seconds, of a duration or a bare number of seconds. What is neither may be a password in the wrong place."""
    try:
        return parse_duration(f"{text}s" if text.isascii() and text.isdigit() else text) / 1000
    except DurationError as error:
        if _LIKE_A_TIME.fullmatch(text):
            raise ConfigError(f"{where}: {error}") from None
    raise ConfigError(f"{where}: its value is not a valid duration; write a number and a unit, such as 30s or 10m")


def _bytes(text: str, where: str) -> int:
    if (match := _SIZE.fullmatch(text)) is None:
        raise ConfigError(f"{where}: a size is expected, such as 512MiB or 1GiB")
    return int(match[1]) * _BYTES[match[2]]


def _headers(value: object, where: str) -> tuple[tuple[str, str], ...]:
    """Headers as a mapping (in the file) or as `Name: value; Name: value` (in the environment, or the file too)."""
    if isinstance(value, str):
        parts = [part.partition(":") for part in value.split(";") if part.strip()]
        if not all(colon for _, colon, _ in parts):
            raise ConfigError(f"{where}: write headers as `Name: value; Name: value`")
        pairs: list[tuple[str, object]] = [(name, text) for name, _, text in parts]
    elif isinstance(value, dict):
        pairs = list(value.items())
    else:
        raise ConfigError(f"{where}: a mapping of names to values is expected")
    headers: list[tuple[str, str]] = []
    for name, text in pairs:
        name = str(name).strip()
        if not _HEADER_NAME.fullmatch(name) or not isinstance(text, str):
            shown = f"header {name!r}" if is_word(name) else "a header"
            raise ConfigError(f"{where}: {shown} has no valid name or value; write `Name: value`")
        if name.lower() in (known.lower() for known, _ in headers):
            raise ConfigError(f"{where}: header {name if is_word(name) else HIDDEN} is there twice; keep one")
        headers.append((name, _header_value(text.strip(), where)))
    return tuple(headers)


def _params(value: object, where: str) -> tuple[tuple[str, str], ...]:
    """Parameters of queries as a mapping (in the file) or as `name=value&name=value` (in the environment, or the file too)."""
    if isinstance(value, str):
        pairs: list[tuple[str, object]] = [*parse_qsl(value.strip(), keep_blank_values=True)]
        if not pairs or not all("=" in part for part in value.split("&")):
            raise ConfigError(f"{where}: write parameters as `dedup=true&partial_response=false`")
    elif isinstance(value, dict):
        pairs = list(value.items())
    else:
        raise ConfigError(f"{where}: a mapping of names to values is expected")
    params: dict[str, str] = {}
    for name, text in pairs:
        if not name or not isinstance(text, str):
            shown = repr(name) if is_word(str(name)) else "a parameter"
            raise ConfigError(f"{where}: {shown} has no value that is a text; write `dedup: true`")
        if name in OWN_PARAMS:
            raise ConfigError(f"{where}: {name} is set by each query; leave it out (`timeout` is a setting of its own)")
        if name in params:
            raise ConfigError(f"{where}: {name if is_word(name) else HIDDEN} is there twice; keep one")
        params[name] = _no_control(text, where)
    return tuple(params.items())


def _header_value(text: str, where: str) -> str:
    if not text.isascii():
        raise ConfigError(f"{where}: holds a character that HTTP headers cannot carry; use ASCII")
    return _no_control(text, where)


def _no_control(text: str, where: str) -> str:
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise ConfigError(f"{where}: holds a line break or another control character")
    return text


def _check_file(key: str, file: Path, where: str) -> None:
    try:
        head = read_up_to(file)
    except OSError as error:
        # Where there is none of its name, that may be the secret itself.
        if not os.path.lexists(file):
            raise ConfigError(
                f"{where}: no such file (not named here, as it may be the secret itself); write the path of one, as seen from the "
                "configuration file's folder"
            ) from None
        raise ConfigError(f"{where}: {file} cannot be read: {_reason(error)}") from None
    # The TLS library would ask for the passphrase on the terminal.
    if key in ("client_key", "client_cert") and b"ENCRYPTED" in head:
        raise ConfigError(f"{where}: {file} is locked with a passphrase; give a key without one")


def read_secret(file: Path, key: str) -> str:
    """The text of a file that holds a secret, as it is now. Raises ConfigError."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{key}: {file} cannot be read any more") from None


def _reason(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "not UTF-8 text"
