"""What has to change on a ruler. Pure: what is there and what should be, as data.

A group is ours where its name begins `slo/`; of these only the groups of services that are in the definitions at hand are
replaced or deleted, as another repository may keep the others' rules in the same namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slo.errors import ConfigError
from slo.rules.document import Document, same_group
from slo.rules.names import OWN, SLOTH

OURS = "slo/"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """Groups by name, in the order in which they are sent.

    Attributes:
        replaced: Those that are there with other content.
        added: Those that are not there.
        deleted: The names of ours that are there and should not be.
        same: How many are there as they should be.
        others: How many groups of the namespace are nobody's of ours.
        left: Services that are not in the definitions, each with how many groups it keeps.
    """

    replaced: Mapping[str, Document]
    added: Mapping[str, Document]
    deleted: Sequence[str]
    same: int
    others: int
    left: Mapping[str, int]

    @property
    def is_done(self) -> bool:
        """Whether nothing has to change."""
        return not (self.replaced or self.added or self.deleted)


def plan(wanted: Iterable[Document], there: Sequence[Document], services: Iterable[str], prune: bool = False) -> Plan:
    """What makes the groups that are `there` in a namespace the `wanted` ones of these `services`.

    With `prune` the groups of all other services are deleted too. Raises ConfigError where a group that would go, or be
    replaced, holds rules of other services as well, or is not one of ours.
    """
    own = set(services)
    want = {str(group["name"]): group for group in wanted}
    have = {str(group.get("name", "")): group for group in there}
    replaced: dict[str, Document] = {}
    deleted: list[str] = []
    left: dict[str, int] = {}
    same = others = 0
    for name, group in have.items():
        new = want.get(name)
        if not name.startswith(OURS):
            others += 1
            continue
        if new is not None and same_group(group, new):
            same += 1
            continue
        foreign = _services(group) - own
        if foreign and not prune:
            if new is None and not _services(group) & own:
                for service in foreign:
                    left[service] = left.get(service, 0) + 1
                continue
            raise ConfigError(
                f"the group {name} also holds rules of {_some(foreign)}, which {'is' if len(foreign) == 1 else 'are'} not in these "
                "definitions; push all definitions of the namespace together, use another --namespace, or let --prune delete "
                "what is not in them"
            )
        if new is None:
            deleted.append(name)
        else:
            replaced[name] = new
    added = {name: group for name, group in want.items() if name not in have}
    return Plan(replaced, added, sorted(deleted), same, others, dict(sorted(left.items())))


def _services(group: Mapping[str, Any]) -> set[str]:
    """The services that a group of ours has rules of: their labels say so, or else its name."""
    rules = group.get("rules")
    labels = [rule.get("labels") for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
    keys = (SLOTH.service, OWN.service)
    named = (next((of[key] for key in keys if key in of), None) for of in labels if isinstance(of, dict))
    names = {str(name) for name in named if name is not None}
    return names or {str(group.get("name", "")).removeprefix(OURS).partition("/")[0]}


def _some(names: Iterable[str]) -> str:
    texts = sorted(names)
    return ", ".join(texts[:_SHOWN]) + (f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")
