"""The job's configuration: strict YAML; paths are as seen from its folder, secrets only names of environment variables."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field

from slo.errors import ConfigError, DefinitionError
from slo.fields import Model
from slo.files import reads_as_path
from slo.reading import Report
from slo.redact import holds_userinfo, is_word, looks_secret
from slo.source import with_scheme
from slo.source.config import names_a_source
from slo.spec.single import parse_single, read_text
from slo.spec.yaml import Path as YamlPath
from slo.weekly.period import Unit

Format = Literal["html", "markdown", "json", "csv"]
_VARIABLE = Annotated[
    str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the name of an environment variable")
]


class EmailModel(Model):
    """A message by SMTP, with the summary as text and the page attached."""

    host: str
    port: str | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    from_: Annotated[str, Field(alias="from")]
    to: Annotated[list[str], Field(min_length=1)]
    user_env: _VARIABLE | None = None
    password_env: _VARIABLE | None = None


class WebhookModel(Model):
    """A Slack-compatible webhook, whose address is a secret."""

    url_env: _VARIABLE
    link: Annotated[str | None, Field(description="where the folder is served, to link the page")] = None


class DeliverModel(Model):
    """Where the report goes: always a folder, and what else is named."""

    folder: str
    email: EmailModel | None = None
    webhook: WebhookModel | None = None


class WeeklyModel(Model):
    """The job."""

    definitions: Annotated[list[str], Field(min_length=1)]
    source: Annotated[str | None, Field(description="an address or a recording; null: the `sources` of source_config")]
    source_config: str | None = None
    period: Literal["week", "month", "quarter"] = "week"
    time_zone: str = "UTC"
    title: str = "Error budgets"
    formats: Annotated[list[Format], Field(default_factory=lambda: ["html", "markdown", "json", "csv"], min_length=1)]
    catch_up: Annotated[str, Field(description="the most missed periods that are made up for")] = "8"
    retries: Annotated[str, Field(description="how often a source that fails is asked again")] = "2"
    events: Annotated[str | None, Field(description="known incidents, deployments, planned maintenance")] = None
    ledger: Annotated[
        str | None, Field(description="a folder, or an address of an object store, that keeps all events")
    ] = None
    metrics: Annotated[str | None, Field(description="a file for the node exporter's textfile collector")] = None
    deliver: DeliverModel


@dataclass(frozen=True)
class WeeklyConfig:
    """What a configuration means; paths are absolute, secrets are not in it."""

    definitions: tuple[Path, ...]
    source: str | None  # None: the `sources` of source_config
    source_config: str | None
    unit: Unit
    zone: ZoneInfo
    title: str
    formats: tuple[Format, ...]
    catch_up: int
    retries: int
    folder: Path
    ledger: Path | str | None = None  # an address of an object store is a text
    metrics: Path | None = None
    events: Path | None = None
    email: EmailModel | None = None
    webhook: WebhookModel | None = None
    port: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def is_server(self) -> bool:
        """Whether the source is a server, and no file."""
        return self.source is not None and _is_url(self.source)


def read_config(path: str | os.PathLike[str]) -> WeeklyConfig:
    """Reads and checks a configuration. Raises DefinitionError with every fault, its line and a fix."""
    what = "a job is one mapping with definitions, source and deliver"
    model, report, problems = parse_single(read_text(path), str(path), WeeklyModel, what, _accepted, secret=True)
    base = Path(path).resolve().parent
    try:
        zone = ZoneInfo(model.time_zone)
    except (OSError, ValueError, KeyError):  # a zone that is not found is a KeyError
        zone = _no_zone(model.time_zone, report)
    catch_up = _number(model.catch_up, ("catch_up",), 1, 520, report)
    retries = _number(model.retries, ("retries",), 0, 20, report)
    port = 0
    if model.deliver.email is not None:
        usual = {"starttls": "587", "tls": "465", "none": "25"}[model.deliver.email.security]
        port = _number(model.deliver.email.port or usual, ("deliver", "email", "port"), 1, 65535, report)
        if model.deliver.email.password_env and model.deliver.email.security == "none":
            report(
                ("deliver", "email", "security"),
                "a password is sent over an encrypted connection only; write starttls or tls",
                "error",
            )
        _check_email(model.deliver.email, report)
    link = None if model.deliver.webhook is None else model.deliver.webhook.link
    if link is not None and (not is_address(link) or holds_userinfo(link)):
        report(
            ("deliver", "webhook", "link"),
            "is not a http(s) address that can be shown; write one such as https://slo.example.com/",
            "error",
        )
    if model.source is None and model.source_config is None:
        report(
            (),
            "`source` is null; write a server's address, a recording's path, or `source_config` with `sources`",
            "error",
        )
    if holds_userinfo(model.title):
        report(("title",), "holds a credential, which every reader would see", "error")
    _check_places(model, Path(path), base, report)
    if problems:
        raise DefinitionError(problems)
    return WeeklyConfig(
        definitions=tuple(base / name for name in model.definitions),
        source=None if model.source is None else _source(model.source, base),
        source_config=None if model.source_config is None else str(base / model.source_config),
        unit=model.period,
        zone=zone,
        title=model.title,
        formats=tuple(dict.fromkeys(model.formats)),
        catch_up=catch_up,
        retries=retries,
        folder=base / model.deliver.folder,
        ledger=None if model.ledger is None else model.ledger if "://" in model.ledger else base / model.ledger,
        metrics=None if model.metrics is None else base / model.metrics,
        events=None if model.events is None else base / model.events,
        email=model.deliver.email,
        webhook=model.deliver.webhook,
        port=port,
    )


def _check_places(model: WeeklyModel, config: Path, base: Path, report: Report) -> None:
    """Says which paths are none, and where the job would write over what it reads."""
    named: dict[YamlPath, str | None] = {
        **{("definitions", index): name for index, name in enumerate(model.definitions)},
        ("source",): model.source,
        ("source_config",): model.source_config,
        ("events",): model.events,
        ("ledger",): model.ledger,
        ("metrics",): model.metrics,
        ("deliver", "folder"): model.deliver.folder,
    }
    for at, text in named.items():
        if text is not None:
            _check_place(at, text, base, report)
    if not model.metrics:
        return
    metrics = Path(os.path.realpath(base / model.metrics))
    folders = [Path(os.path.realpath(base / name)) for name in model.definitions]
    read = [Path(os.path.realpath(config)), *folders]
    read += [Path(os.path.realpath(base / name)) for name in (model.source, model.source_config, model.events) if name]
    folder = Path(os.path.realpath(base / model.deliver.folder))
    own = [folder / name for name in ("state.json", "index.html", ".lock")]
    among = metrics.suffix in (".yaml", ".yml") and any(place in metrics.parents for place in folders)
    if metrics in read or metrics in own or among:
        what = "is read by the job" if metrics not in own else "is another file of the job's own"
        shown = f"{model.metrics} " if reads_as_path(model.metrics, base) else ""
        report(("metrics",), f"{shown}{what}, and would be lost; name another file", "error")


_OUTPUTS: tuple[YamlPath, ...] = (("ledger",), ("metrics",), ("deliver", "folder"))


def _check_place(at: YamlPath, text: str, base: Path, report: Report) -> None:
    """Says of a path or address why it cannot be one. What is not there is not named: it may be a secret in the wrong place."""
    if not text.strip():
        report(at, "is empty; write a path, or leave it out", "error")
    elif os.path.lexists(base / text):
        return
    elif holds_userinfo(text):
        report(at, "holds a credential; put it into the environment or into source_config", "error")
    elif looks_secret(text):
        report(at, "looks like a password or a token, and there is no such file; write a path", "error")
    elif at == ("source",):
        if not names_a_source(text, base):
            message = "is neither an address, such as http://prometheus:9090, nor a file that is there"
            report(at, f"{message}; paths start at {base}", "error")
    elif at not in _OUTPUTS and not reads_as_path(text, base):
        # Of one that can be named, the reader of such files says that it is not there.
        report(at, f"no such file{' or folder' if at[0] == 'definitions' else ''}; paths start at {base}", "error")


def _source(text: str, base: Path) -> str:
    """An address, of a server or of what an installed package reads, or a path, which starts at the file's folder."""
    text = with_scheme(text, base)
    return text if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) else str(base / text)


def _is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


def secret(name: str, environment: Mapping[str, str]) -> str:
    """The value of an environment variable. Raises ConfigError, which names the variable, unless that may be the value itself."""
    value = environment.get(name, "")
    if not value:
        usual = name in environment or re.fullmatch(r"[A-Z]+(?:_[A-Z0-9]+)*", name)
        shown = (
            name
            if usual and not looks_secret(name)
            else "that the configuration names (not shown, as it may be a secret)"
        )
        raise ConfigError(f"the environment variable {shown} is not set")
    return value


_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_USER = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


def is_host(text: str) -> bool:
    """Whether a text is the name or the IP address of a host, as a name service takes it: in ASCII."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        # The last label of a name has a letter: `1.2.3` is neither an address nor a name.
        last = text.rstrip(".").rpartition(".")[2]
        return len(text) <= 253 and _HOST.fullmatch(text) is not None and not last.isdecimal()
    return True


def shown_host(host: str) -> str:
    """A mail server's name as messages show it; without a dot or a colon it may be a password, unless it is a plain word."""
    return host if {".", ":"} & set(host) or is_word(host) else "the mail server"


def is_address(text: str) -> bool:
    """Whether a text is an http(s) address of a host."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(host)
        and is_host(host or "")
        and text.isprintable()
        and " " not in text
    )


def mailbox(text: str) -> tuple[str, str, str] | None:
    """(name, user, host) of one e-mail address such as `Team <team@example.com>`; the name may be empty. None for other texts."""
    match = re.fullmatch(r"(?:([^<>\"@,;:\\()\[\]]*)<([^<>]+)>|([^<>\s]+))", text)
    if match is None or not text.isprintable():
        return None
    user, at, host = (match[2] or match[3]).rpartition("@")
    good = bool(at) and len(user) <= 64 and _USER.fullmatch(user) is not None and is_host(host) and ":" not in host
    return ((match[1] or "").strip(), user, host.rstrip(".")) if good else None


def _check_email(email: EmailModel, report: Report) -> None:
    """Says at once what a mail server, or the lack of one, would say in the night after next."""
    at: YamlPath = ("deliver", "email")
    if "@" in email.host:
        report(
            (*at, "host"),
            "holds a user; write the host alone, and name user and password by user_env and password_env",
            "error",
        )
    elif not is_host(email.host):
        name, colon, port = email.host.rpartition(":")
        fix = (
            f"write `host: {name}` and `port: {port}`"
            if colon and is_host(name) and shown_host(name) == name and re.fullmatch("[0-9]{1,5}", port)
            else "write one such as smtp.example.com"
        )
        report((*at, "host"), f"is not a valid host name; {fix}", "error")
    for path, text in ((("from",), email.from_), *((("to", index), text) for index, text in enumerate(email.to))):
        if mailbox(text) is None:
            fix = "write one such as team@example.com or Team <team@example.com>, several as a list"
            report((*at, *path), f"is not a valid e-mail address; {fix}", "error")
    if (email.user_env is None) != (email.password_env is None):
        report(at, "user_env and password_env belong together; give both, or none", "error")


def _no_zone(name: str, report: Report) -> ZoneInfo:
    zones = {place.rpartition("/")[2]: place for place in sorted(available_timezones(), reverse=True)}
    close = get_close_matches(name.rpartition("/")[2], zones, n=1, cutoff=0.7)
    fix = (
        f"{name!r} is not a valid time zone; did you mean `{zones[close[0]]}`?" if close else "is not a valid time zone"
    )
    report(("time_zone",), fix if close else f"{fix}; write one such as Europe/Berlin or UTC", "error")
    return ZoneInfo("UTC")


def _number(text: str, at: YamlPath, least: int, most: int, report: Report) -> int:
    if len(text) < 16 and text.isascii() and text.isdecimal() and least <= int(text) <= most:
        return int(text)
    shown = f"{text} is" if re.fullmatch(r"-?[0-9]{1,5}", text) else "is"
    report(at, f"{shown} not a valid number from {least} to {most}", "error")
    return least


_SHAPES: dict[tuple[str, ...], type[Any]] = {
    (): WeeklyModel,
    ("deliver",): DeliverModel,
    ("deliver", "email"): EmailModel,
    ("deliver", "webhook"): WebhookModel,
}


def _accepted(path: YamlPath) -> list[str]:
    shape = _SHAPES.get(tuple(str(step) for step in path))
    return [info.alias or name for name, info in shape.model_fields.items()] if shape else []
