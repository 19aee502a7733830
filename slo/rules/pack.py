"""Groups within the limits of rulers: at most MOST_RULES rules each, and as few groups as are asked for.

Rules of a group are evaluated one after another, so that what an SLO's rules read of each other is there. So the rules of an SLO
stay together as far as they can, and groups of several SLOs are put together, never apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from slo.errors import ConfigError
from slo.rules.groups import RuleGroup
from slo.window import format_duration

# Mimir's default limits.
MOST_RULES = 20
MIMIR_GROUPS = 70


def within_limit(groups: Iterable[RuleGroup]) -> Iterator[RuleGroup]:
    """The groups, those of more rules in several: alerts, which are last, go to a group of their own first."""
    for group in groups:
        for number, low in enumerate(range(0, max(len(group.rules), 1), MOST_RULES)):
            if number == 0:
                yield group if len(group.rules) <= MOST_RULES else replace(group, rules=group.rules[:MOST_RULES])
            else:
                more = group.rules[low : low + MOST_RULES]
                yield replace(group, name=f"{group.name}-{number + 1}", rules=more, comment=())


def packed(files: Sequence[Sequence[RuleGroup]], most: int) -> list[list[RuleGroup]]:
    """The groups of each file, put together where all files have more than `most`. Raises ConfigError if they still have."""
    if sum(map(len, files)) <= most:
        return [list(groups) for groups in files]
    packeds = [_packed(groups) for groups in files]
    needed = sum(map(len, packeds))
    if needed > most:
        raise ConfigError(
            f"the rules need {needed} groups of at most {MOST_RULES} rules, and --max-groups is {most}; "
            "raise the limit, or divide the definitions between tenants"
        )
    return packeds


def _packed(groups: Sequence[RuleGroup]) -> list[RuleGroup]:
    """The groups of a file, the largest first, each in the first that has room, by interval and limit of series."""
    bins: dict[tuple[int, int], list[list[RuleGroup]]] = {}
    for group in sorted(groups, key=lambda group: -len(group.rules)):
        alike = bins.setdefault((group.interval_ms, group.limit), [])
        room = (pack for pack in alike if sum(len(other.rules) for other in pack) + len(group.rules) <= MOST_RULES)
        held = next(room, None)
        if held is None:
            alike.append([group])
        else:
            held.append(group)
    services = {group.service for group in groups}
    whose = f"/{services.pop()}" if len(services) == 1 else ""
    rule_groups = []
    for (interval_ms, limit), alike in sorted(bins.items()):
        for number, members in enumerate(alike, 1):
            kind = format_duration(interval_ms) + ("/by" if limit else "")
            rule_groups.append(
                members[0]
                if len(members) == 1
                else RuleGroup(
                    f"slo{whose}/packed/{kind}/{number}",
                    interval_ms,
                    tuple(rule for group in members for rule in group.rules),
                    members[0].service,
                    "",
                    tuple(line for group in members for line in group.comment),
                    limit,
                )
            )
    return rule_groups
