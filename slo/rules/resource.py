"""What Kubernetes takes as names and labels of objects: checked before a file is written that a cluster refuses."""

from __future__ import annotations

import re
from collections.abc import Iterable

from slo.errors import ConfigError
from slo.spec.model import Service
from slo.suggest import suggest

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"  # RFC 1123
_NAMESPACE = re.compile(_LABEL)
_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_WORD = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def namespace_of(text: str, flag: str = "--namespace") -> str:
    """The text, where it is the name of a namespace. Raises ConfigError."""
    if _NAMESPACE.fullmatch(text):
        return text
    meant = re.sub(r"[^a-z0-9]+", "-", text.lower())[:63].strip("-")
    hint = f"; did you mean `{meant}`?" if meant else ""
    raise ConfigError(
        f"{flag} {text[:80]!r} is not a name of a Kubernetes namespace: 1 to 63 of a-z, 0-9 and `-`, the first and the last "
        f"of them no `-`{hint}"
    )


def label_of(name: str, value: str, flag: str = "--label") -> tuple[str, str]:
    """The two, where they are a label of an object. Raises ConfigError."""
    prefix, slash, word = name.rpartition("/")
    if (slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix))) or not _WORD.fullmatch(word):
        raise ConfigError(
            f"{flag} {name[:80]!r} is not a name of a Kubernetes label: 1 to 63 of letters, digits, `-`, `_` and `.`, letters or digits first and "
            "last, such as `team`; before it a domain and `/` may stand, as in `example.com/team`"
        )
    if value and not _WORD.fullmatch(value):
        raise ConfigError(
            f"{flag} {name}={value[:80]!r} is not a value of a Kubernetes label: up to 63 of letters, digits, `-`, `_` and `.`, letters or digits "
            "first and last"
        )
    return name, value


def labels_from(service: Service, names: Iterable[str]) -> dict[str, str]:
    """A service's labels of these names, `owner` among them, as those of its object. Raises ConfigError for what it lacks."""
    known = {"owner": service.owner, **service.labels} if service.owner else dict(service.labels)
    for name in names:
        if name not in known:
            raise ConfigError(
                f"--label-from {name[:80]}: the service {service.name} ({service.file}) has no such label{suggest(name, known)}"
            )
    return dict(label_of(name, known[name], f"--label-from {name}: the label of {service.name}") for name in names)


def object_name(text: str) -> str:
    """A name of ours (letters, digits, `-`, `_` and `.`) as one of an object: `Shop_API` is `shop-api`."""
    parts = (re.sub(r"[^a-z0-9]+", "-", part)[:63].strip("-") for part in text.lower().split("."))
    return ".".join(part for part in parts if part)


def check_object_names(names: Iterable[str]) -> None:
    """Of several names each must be another object's: one would take the place of the other. Raises ConfigError."""
    texts: dict[str, str] = {}
    for name in names:
        other = texts.setdefault(object_name(name), name)
        if other != name:
            raise ConfigError(
                f"the services {other} and {name} would both be the object `{object_name(name)}` to Kubernetes, which has no capital "
                "letters and no `_` in names; rename one of them, or write all rules to one file"
            )
