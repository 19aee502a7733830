"""Short forms of an SLI, where one line says it all: `probe: up{job="api"}` is `probe: {metric: …}`."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

_BOUNDS = {"<": "below", "<=": "at_most", "≤": "at_most", ">": "above", ">=": "at_least", "≥": "at_least"}
_NUMBER = r"[+-]?[0-9][0-9_,.]*(?:e[+-]?[0-9]+)?\s*[A-Za-z%]*"
_COMPARED = re.compile(rf"(?P<left>.+?)\s*(?P<op><=|>=|<|>|≤|≥)\s*(?P<right>{_NUMBER})", re.S)
_AGE = re.compile(r"(?P<left>.+?)\s*(?:<=?|≤)\s*(?P<right>[0-9][0-9a-z]*)", re.S)
_LONGER = re.compile(r"(?P<left>.+?)\s*(?:>=?|≥)\s*(?P<right>[0-9][0-9a-z]*)", re.S)


def _threshold(text: str) -> dict[str, str] | None:
    match = _COMPARED.fullmatch(text)
    return match and {"value": match["left"], _BOUNDS[match["op"]]: match["right"]}


def _of(pattern: re.Pattern[str], left: str, right: str) -> Callable[[str], dict[str, str] | None]:
    def read(text: str) -> dict[str, str] | None:
        match = pattern.fullmatch(text)
        return match and {left: match["left"], right: match["right"]}

    return read


# By kind: an example, and what a text of it means; None where it does not say enough.
SHORT: dict[str, tuple[str, Callable[[str], dict[str, str] | None]]] = {
    "probe": ('probe_success{job="blackbox"}', lambda text: {"metric": text}),
    "latency": ('http_request_duration_seconds{job="api"}', lambda text: {"histogram": text}),
    "threshold": ("process_resident_memory_bytes < 1GiB", _threshold),
    "freshness": ("backup_last_success_timestamp_seconds < 1h", _of(_AGE, "metric", "max_age")),
    "outage": ("availability > 15m", _of(_LONGER, "of", "longer_than")),
}


def expand(data: dict[str, Any]) -> dict[str, Any]:
    """A document with the long form in the place of each short one; what is none stays as it is."""
    slos = data.get("slos")
    if not isinstance(slos, list):
        return data
    expanded = {}
    for index, entry in enumerate(slos):
        sli = entry.get("sli") if isinstance(entry, dict) else None
        for kind, (_, read) in SHORT.items():
            if isinstance(sli, dict) and isinstance(sli.get(kind), str):
                long = read(sli[kind].strip())
                if long is not None:
                    expanded[index, kind] = long
    if not expanded:
        return data
    # The tree of a file with aliases is shared: what is changed must be one's own.
    changed = {**data, "slos": copy.copy(slos)}
    for (index, kind), long in expanded.items():
        entry = changed["slos"][index]
        changed["slos"][index] = {**entry, "sli": {**entry["sli"], kind: long}}
    return changed
