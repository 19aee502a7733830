"""`info()`: the labels of info metrics, such as target_info, alongside the series of the same job and instance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from slo.errors import PromqlError
from slo.promql.ast import Matcher, VectorSelector
from slo.promql.samples import matches
from slo.promql.values import NAME, Bools, Ints, Labels, Vector, make, merge_same, only

IDENTIFYING = ("instance", "job")
_DEFAULT = Matcher(NAME, "=", "target_info")

# the info series that each base series takes at the steps of a mask
_Choice = tuple[list[Labels], Bools]


def matchers_of(selector: VectorSelector | None) -> tuple[list[Matcher], list[Matcher]]:
    """Of the second argument: the matchers of the info metric's name, and those of its data labels."""
    if selector is None:
        return [_DEFAULT], []
    given = list(selector.matchers)
    if selector.name is not None:
        given.insert(0, Matcher(NAME, "=", selector.name))
    return [m for m in given if m.label == NAME], [m for m in given if m.label != NAME]


def is_info(labels: Labels, names: Sequence[Matcher]) -> bool:
    """Whether a series is an info series itself, which is left as it is."""
    return any(matches(matcher, {NAME: dict(labels).get(NAME, "")}) for matcher in names)


def wanted(base: Vector, names: Sequence[Matcher], data: Sequence[Matcher]) -> VectorSelector | None:
    """What selects the info series that any base series may take; None where no series says what it is of."""
    values: dict[str, set[str]] = {}
    for labels in base.labels:
        if not is_info(labels, names):
            for name, value in only(labels, IDENTIFYING):
                values.setdefault(name, set()).add(value)
    if not values:
        return None
    of_base = [Matcher(name, "=~", "|".join(map(_quoted, sorted(held)))) for name, held in values.items()]
    return VectorSelector(None, (*(names or [_DEFAULT]), *data, *of_base))


def _quoted(text: str) -> str:
    return "".join(f"\\{char}" if char in r"\.+*?()|[]{}^$" else char for char in text)


def join(base: Vector, infos: Vector, names: Sequence[Matcher], data: Sequence[Matcher]) -> Vector:
    """Base series with the data labels of the info series of their job and instance, at each step the newest one.

    `infos` holds the times of the samples, in seconds. Raises PromqlError where two are equally new, where info metrics
    contradict each other, or where two series become one.
    """
    _refuse_equally_new(base, infos)
    chosen = {matcher.label for matcher in data}
    needs_some = not all(matches(matcher, {}) for matcher in data)
    labels_out: list[Labels] = []
    values, present = [], []
    for row, labels in enumerate(base.labels):
        ignored = is_info(labels, names)
        for labels_found, mask in [] if ignored else _choices(labels, base.present[row], infos):
            added = _data_labels(labels_found, dict(labels), chosen)
            if added or not needs_some:
                labels_out.append(make({**added, **dict(labels)}))
                values.append(base.values[row])
                present.append(mask)
        if ignored:
            labels_out.append(labels)
            values.append(base.values[row])
            present.append(base.present[row])
    if not labels_out:
        return Vector.empty(base.values.shape[1])
    return merge_same(Vector(labels_out, np.stack(values), np.stack(present), [False] * len(labels_out)))


def _by_signature(infos: Vector) -> dict[Labels, list[int]]:
    groups: dict[Labels, list[int]] = {}
    for row, labels in enumerate(infos.labels):
        groups.setdefault(only(labels, (NAME, *IDENTIFYING)), []).append(row)
    return groups


def _refuse_equally_new(base: Vector, infos: Vector) -> None:
    needed = base.present.any(axis=0)
    for rows in _by_signature(infos).values():
        for place, row in enumerate(rows):
            for other in rows[:place]:
                same = infos.values[row] == infos.values[other]
                clash = needed & infos.present[row] & infos.present[other] & same
                if clash.any():
                    raise PromqlError(f"found duplicate series for info metric {dict(infos.labels[row])[NAME]}")


def _choices(labels: Labels, there: Bools, infos: Vector) -> Iterator[_Choice]:
    """Which info series a base series takes, for each set of them the steps where it does."""
    identity = only(labels, IDENTIFYING)
    newest: list[tuple[list[int], Ints]] = []
    for signature, rows in _by_signature(infos).items():
        if only(signature, IDENTIFYING) == identity:
            times = np.where(infos.present[rows], infos.values[rows], -np.inf)
            newest.append((rows, np.where(np.isneginf(times.max(axis=0)), -1, times.argmax(axis=0))))
    if not newest:
        yield [], there
        return
    patterns, which = np.unique(np.stack([best for _, best in newest]), axis=1, return_inverse=True)
    for index in range(patterns.shape[1]):
        mask = there & (which.reshape(-1) == index)
        if mask.any():
            taken = zip(newest, patterns[:, index].tolist(), strict=True)
            yield [infos.labels[rows[best]] for (rows, _), best in taken if best >= 0], mask


def _data_labels(label_sets: Sequence[Labels], base: dict[str, str], chosen: set[str]) -> dict[str, str]:
    added: dict[str, str] = {}
    for labels in label_sets:
        for name, value in labels:
            if name == NAME or (chosen and name not in chosen):
                continue
            if added.get(name, value) != value:
                raise PromqlError(f"conflicting label: {name}")
            if name not in base:
                added[name] = value
    return added
