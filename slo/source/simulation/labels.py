"""From selectors to label sets: which series would a service have for these to select?"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from slo.errors import SloError
from slo.promql.ast import Matcher, VectorSelector
from slo.promql.samples import matches
from slo.source.simulation.patterns import examples

Labels = Mapping[str, str]

# What services commonly write, by label; the first that fits is the usual one.
_COMMON = {
    "code": ("200", "201", "404", "500", "503"),
    "status": ("200", "201", "404", "500", "503"),
    "status_code": ("200", "201", "404", "500", "503"),
    "method": ("GET", "POST"),
    "result": ("hit", "miss", "success", "failure", "error"),
    "outcome": ("success", "failure", "error"),
    "route": ("/", "/search"),
    "handler": ("/", "/search"),
}
_ANY = ("0", "1", "a", "main", "ok", "error", "true", "false", "200", "404", "500", "/", "GET")
REPLICAS = 4
_MOST_SETS = 200


def label_sets(selectors: Sequence[VectorSelector], job: str) -> list[dict[str, str]]:
    """Label sets that the selectors of one metric tell apart, each matching at least one; without `instance`.

    Raises SloError where no value can be found that a matcher accepts.
    """
    names = sorted({matcher.label for selector in selectors for matcher in selector.matchers} | {"job"})
    names = [name for name in names if name not in ("__name__", "instance", "le")]
    values = {name: _values(name, selectors, job) for name in names}
    found: list[dict[str, str]] = []
    for combination in itertools.product(*values.values()):
        labels = {name: value for name, value in zip(values, combination, strict=True) if value}
        if any(selects(selector, labels) for selector in selectors):
            found.append(labels)
        if len(found) >= _MOST_SETS:
            break
    return found


def selects(selector: VectorSelector, labels: Labels) -> bool:
    """Whether a selector's matchers, but those on `instance` and `le`, accept labels."""
    return all(matches(m, labels) for m in selector.matchers if m.label not in ("instance", "le", "__name__"))


def instances(selectors: Iterable[VectorSelector], job: str) -> list[str]:
    """The instances of a job: those that the selectors name, else a few replicas."""
    own = [m for selector in selectors for m in selector.matchers if m.label == "instance"]
    named = list(dict.fromkeys(m.value for m in own if m.op == "="))
    if named:
        return named
    usual = [f"{job or 'service'}-{number}:8080" for number in range(REPLICAS)]
    for matcher in own:
        usual = [value for value in (*usual, *_expanded(matcher)) if matches(matcher, {"instance": value})]
    return list(dict.fromkeys(usual))[:REPLICAS] or usual[:1]


def _values(name: str, selectors: Sequence[VectorSelector], job: str) -> list[str]:
    own = [(selector, [m for m in selector.matchers if m.label == name]) for selector in selectors]
    candidates: dict[str, None] = {}
    for _, matchers in own:
        for matcher in matchers:
            candidates |= dict.fromkeys(_expanded(matcher))
    common = (job,) if name == "job" else _COMMON.get(name, _ANY)
    kept: dict[str, None] = {}
    for selector, matchers in own:
        fits = [v for v in (*common, *candidates, *_ANY) if all(matches(m, {name: v}) for m in matchers)]
        if not fits:
            told = ",".join(map(str, matchers))
            raise SloError(f"cannot simulate {selector}: no value was found for {told}; use a simpler pattern")
        if name == "job" and not matchers and any(others for _, others in own):
            continue  # it takes the jobs that the others name
        patterned = any(matcher.op == "=~" for matcher in matchers)
        wanted = 3 if name in _COMMON else 8 if patterned else 1
        kept |= dict.fromkeys(list(dict.fromkeys(fits))[:wanted])
    constrained = [matchers for _, matchers in own if matchers]
    if name != "job" and len(constrained) < len(own):
        # Some selector leaves the label open: there is something that none of the others selects.
        others = [v for v in (*common, *_ANY) if not any(all(matches(m, {name: v}) for m in ms) for ms in constrained)]
        kept = dict.fromkeys(others[:2]) | kept
    return list(kept)


def _expanded(matcher: Matcher) -> list[str]:
    """Values that a matcher might be made for."""
    if matcher.op in ("=", "!="):
        return [matcher.value]
    for fill in ("0", "a", "x1"):
        fits = [v for v in examples(matcher.value, fill) if matches(replace(matcher, op="=~"), {matcher.label: v})]
        if fits:
            return fits
    return []
