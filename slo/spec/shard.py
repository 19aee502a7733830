"""One of n parts of the definitions, for jobs that share the work: whole services, the same parts wherever it is asked."""

from __future__ import annotations

import re

from slo.errors import ConfigError
from slo.spec.model import Specs

MOST_SHARDS = 10_000


def read_shard(text: str) -> tuple[int, int]:
    """The number of a part, from 0, and how many there are, of `k/n`. Raises ConfigError."""
    match = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text.strip(), re.ASCII)
    if match is None or not 1 <= int(match[2]) <= MOST_SHARDS:
        raise ConfigError(
            f"--shard {text[:40]!r} is not K/N, a part's number from 0 and how many there are, such as 0/8"
        )
    number, count = int(match[1]), int(match[2])
    if number >= count:
        raise ConfigError(
            f"--shard {text}: parts are numbered from 0, so that of {count} the last is {count - 1}/{count}"
        )
    return number, count


def sharded(specs: Specs, number: int, count: int) -> Specs:
    """Part `number` of `count`: services, each in one part, so that parts have about as many SLOs; it hangs on the definitions alone.

    A service is not divided: a ledger's partitions, groups of rules and pages are of one service, and two jobs would write the same one.
    """
    return Specs(
        [service for service in specs.services if assigned(specs, count)[service.name] == number], specs.warnings
    )


def assigned(specs: Specs, count: int) -> dict[str, int]:
    """The part of each service: the largest first, each to the part that has least."""
    sizes: dict[str, int] = {}
    for service in specs.services:
        sizes[service.name] = sizes.get(service.name, 0) + len(service.slos) + bool(service.alerts)
    loads = [(0, part) for part in range(count)]
    parts: dict[str, int] = {}
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        load, part = loads[0]
        parts[name] = part
        # The least loaded first: few parts, and a sort of what is nearly sorted is cheap.
        loads[0] = (load + sizes[name], part)
        loads.sort()
    return parts
