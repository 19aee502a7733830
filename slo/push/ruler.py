"""The configuration API of a ruler, as Mimir and Cortex have it: rule groups of a tenant by namespace, in YAML.

`GET …/rules/{namespace}` lists, `POST …/rules/{namespace}` sets one group, `DELETE …/rules/{namespace}/{group}` removes one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote, urlunsplit

import yaml

from slo.errors import ConfigError, SourceError
from slo.push.plan import Plan
from slo.rules.document import Document
from slo.source.config import TENANT, SourceConfig, load
from slo.source.failure import LOGIN_FIX, text_of
from slo.source.http import DEFAULT_RETRIES, Reply, RetryPolicy, Session, split_url
from slo.spec.yaml import MOST_BYTES, MOST_DEPTH, MOST_NODES

# Mimir's below its Prometheus prefix, the same where only the host was given, Cortex's.
PLACES = ("/config/v1/rules", "/prometheus/config/v1/rules", "/api/v1/rules")
_HEADERS = {"Accept": "application/yaml", "Content-Type": "application/yaml"}
_NO_GROUPS = re.compile(rb"no rule groups? (found|exist)|group does not exist", re.IGNORECASE)
_GROUP_LIMIT = re.compile(r"rule groups? limit|maximum number of rule groups", re.IGNORECASE)
_RULE_LIMIT = re.compile(r"rules per rule group|maximum number of rules", re.IGNORECASE)
_TENANT = re.compile(r"[A-Za-z0-9!\-_.*'()]{1,150}")

MOST_NAMESPACE = 200

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def _check_size(body: bytes) -> None:
    """Raises ValueError where a text of YAML unfolds to more than rule groups are, before memory is taken for it. No ruler writes aliases."""
    if len(body) > MOST_BYTES:
        raise ValueError("too large")
    count = depth = 0
    for event in yaml.parse(body, Loader=Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        count += isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent))
        if isinstance(event, yaml.AliasEvent) or depth > MOST_DEPTH or count > MOST_NODES:
            raise ValueError("not rule groups")


class Ruler:
    """A ruler with its API, as one tenant sees it. Opening it sends nothing."""

    def __init__(self, url: str, config: SourceConfig, retry_policy: RetryPolicy = DEFAULT_RETRIES) -> None:
        exact = url.rstrip("/").endswith("/rules")
        address, user, password = split_url(url)
        if user:
            config = replace(config, basic_user=user, basic_password=password)
        self.name = urlunsplit(address)
        self._session = Session(address, self.name, config, retry_policy)
        self._bases = [self.name] if exact else [f"{self.name}{place}" for place in PLACES]

    @classmethod
    def open(
        cls,
        url: str,
        tenant: str | None = None,
        config: str | os.PathLike[str] | None = None,
        retry_policy: RetryPolicy = DEFAULT_RETRIES,
    ) -> Ruler:
        """The ruler at a URL, with the credentials of the environment and of the file at `config`. Raises ConfigError."""
        settings = load(config)
        if tenant is not None:
            if not _TENANT.fullmatch(tenant) or tenant in (".", ".."):
                raise ConfigError(
                    f"--tenant {tenant[:80]!r} is not a valid tenant: 1 to 150 of letters, digits and !-_.*'(), and one tenant"
                )
            headers = tuple((name, value) for name, value in settings.headers if name.lower() != TENANT.lower())
            settings = replace(settings, headers=headers, tenant=tenant)
        return cls(url, settings, retry_policy)

    def groups(self, namespace: str) -> list[Document]:
        """The groups of a namespace, in the ruler's order; none where there is no such namespace. Raises SourceError, ConfigError."""
        if not namespace.isprintable() or namespace in ("", ".", "..") or len(namespace) > MOST_NAMESPACE:
            raise ConfigError(
                f"--namespace {namespace[:80]!r} is not a namespace of a ruler: up to {MOST_NAMESPACE} characters of a line of text"
            )
        for number, base in enumerate(list(self._bases)):
            reply = self._session.exchange("GET", f"{base}/{quote(namespace, safe='')}", headers=_HEADERS)
            if reply.status in (404, 405) and not _NO_GROUPS.search(reply.body) and number + 1 < len(self._bases):
                continue
            if reply.status == 404 and _NO_GROUPS.search(reply.body):
                groups: list[Document] = []
            elif reply.status == 200:
                groups = self._read(reply.body, namespace)
            else:
                raise self._failure(reply, f"the groups of the namespace {namespace}")
            self._bases = [base]
            return groups
        raise AssertionError("unreachable")

    def apply(self, changes: Plan, namespace: str, advance: Callable[[], None] = lambda: None) -> None:
        """Sends what changed. Nothing is deleted before all else is there, but to make room for it. Raises SourceError,
        which says how far it came; what is left is what another call with a new plan sends."""
        steps = [*changes.replaced.values(), *changes.added.values()]
        deleted = list(changes.deleted)
        done = 0
        try:
            while done < len(steps):
                reply = self._post(namespace, steps[done])
                if (
                    deleted
                    and reply.status in (400, 422, 429)
                    and _GROUP_LIMIT.search(reply.body.decode(errors="replace"))
                ):
                    self._delete(namespace, deleted.pop())
                    advance()
                    continue
                if reply.status not in (200, 201, 202, 204):
                    raise self._failure(reply, f"the group {steps[done]['name']}")
                done += 1
                advance()
            while deleted:
                self._delete(namespace, deleted[-1])
                deleted.pop()
                advance()
        except SourceError as error:
            gone = len(changes.deleted) - len(deleted)
            raise type(error)(
                f"{error}; {done} of {len(steps)} changed groups were sent and {gone} of {len(changes.deleted)} deleted: the same "
                "command goes on from there"
            ) from error

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def _post(self, namespace: str, group: Document) -> Reply:
        body = yaml.dump(group, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1 << 30).encode()
        return self._session.exchange("POST", f"{self._bases[0]}/{quote(namespace, safe='')}", body, _HEADERS)

    def _delete(self, namespace: str, group: str) -> None:
        url = f"{self._bases[0]}/{quote(namespace, safe='')}/{quote(group, safe='')}"
        reply = self._session.exchange("DELETE", url, headers=_HEADERS)
        # One that is gone is what was asked for.
        if reply.status not in (200, 202, 204, 404):
            raise self._failure(reply, f"the group {group}")

    def _read(self, body: bytes, namespace: str) -> list[Document]:
        try:
            _check_size(body)
            content = yaml.load(body, Loader)  # noqa: S506 - one of the safe loaders
        except (yaml.YAMLError, ValueError, RecursionError):  # of a date or a number that is none, a ValueError
            content = ""
        if content is None:
            return []
        groups = content.get(namespace, []) if isinstance(content, dict) else None
        if isinstance(content, dict) and "status" in content and namespace not in content:
            raise SourceError(
                f"{self.name}: it answers as a Prometheus, which takes no rules by its API: load the file that -o writes; "
                f"a ruler of Mimir or Cortex has the address that ends where {PLACES[0]} or {PLACES[2]} would follow"
            )
        if not isinstance(groups, list) or not all(
            isinstance(group, dict) and isinstance(group.get("name"), str) for group in groups
        ):
            raise SourceError(f"{self.name}: its answer is not a list of rule groups by namespace; check the address")
        return groups

    def _failure(self, reply: Reply, what: str) -> SourceError:
        said = text_of(reply.body, self._session.redact)
        match reply.status:
            case 401 | 403 if "org id" in said.lower():
                fix = "; it serves several tenants: name yours with --tenant"
            case 401 | 403:
                fix = f"; {LOGIN_FIX}"
            case 404 | 405:
                fix = (
                    f"; there is no ruler API at this address: give one that ends where {PLACES[0]} (Mimir: …/prometheus) or "
                    f"{PLACES[2]} (Cortex) would follow, and see that its ruler has the API enabled"
                )
            case 301 | 302 | 303 | 307 | 308:
                fix = "; it redirects, which is not followed with rules: give the address that it leads to"
            case _ if _RULE_LIMIT.search(said):
                fix = "; groups have up to 20 rules: raise the tenant's ruler_max_rules_per_rule_group to 20 or more, as is Mimir's default"
            case _ if _GROUP_LIMIT.search(said):
                fix = (
                    "; put SLOs together with --max-groups N (Mimir takes 70 by default), or raise the tenant's "
                    "ruler_max_rule_groups_per_tenant"
                )
            case _:
                fix = ""
        return SourceError(f"{self.name}: it refuses {what} ({reply.status}){said}{fix}")
