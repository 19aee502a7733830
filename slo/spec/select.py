"""Some of the SLOs that were read: by service, name, owner and label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from slo.errors import ConfigError
from slo.spec.model import Slo, Specs
from slo.suggest import suggest


@dataclass(frozen=True, slots=True)
class Selection:
    """Which SLOs are meant: one of the `services`, one of the `slos`, one of the `owners`, and all `labels`.

    An empty one means all. `*` stands for any text; an SLO is named `name` or `service/name`.
    """

    services: Sequence[str] = ()
    slos: Sequence[str] = ()
    owners: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def takes(self, slo: Slo) -> bool:
        """Whether an SLO is one of them. A label that its metrics give (`by`) is known once it is evaluated."""
        return self._takes_names(slo) and all(
            label in slo.by or (label in slo.labels and fnmatchcase(slo.labels[label], value))
            for label, value in self.labels.items()
        )

    def _takes_names(self, slo: Slo) -> bool:
        return (
            _any(self.services, (slo.service,))
            # `by` makes several SLOs of one: `name.value`.
            and _any(self.slos, (slo.name, slo.id, slo.name.partition(".")[0], slo.id.partition(".")[0]))
            and _any(self.owners, (slo.owner,))
        )


def select(specs: Specs, selection: Selection) -> Specs:
    """The SLOs that a selection takes, in their order; a service with none of them goes, plain alerts too.

    The plain alerts of a service stay unless SLOs are chosen one by one. Raises ConfigError where nothing is left, with
    what there is.
    """
    if selection == Selection():
        return specs
    whole = not (selection.slos or selection.labels or selection.owners)
    services = []
    for service in specs.services:
        slos = tuple(slo for slo in service.slos if selection.takes(slo))
        if slos:
            services.append(replace(service, slos=slos, alerts=service.alerts if whole else ()))
    if not services:
        raise ConfigError(_nothing(specs, selection))
    return Specs(services, specs.warnings)


def _any(patterns: Sequence[str], names: Iterable[str]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _nothing(specs: Specs, selection: Selection) -> str:
    """Which part of a selection matches nothing by itself, and what would."""
    slos = list(specs.values())
    labels = {f"{name}={value}": (name, value) for name, value in selection.labels.items()}
    parts: list[tuple[str, str, Selection, Callable[[Slo], Iterable[str]]]] = [
        *(
            ("--service", service, Selection(services=[service]), lambda slo: [slo.service])
            for service in selection.services
        ),
        *(("--slo", name, Selection(slos=[name]), _names_like(name)) for name in selection.slos),
        *(("--owner", owner, Selection(owners=[owner]), lambda slo: [slo.owner]) for owner in selection.owners),
        *(
            ("--label", text, Selection(labels={name: value}), lambda slo: [f"{k}={v}" for k, v in slo.labels.items()])
            for text, (name, value) in labels.items()
        ),
    ]
    for flag, text, alone, there in parts:
        if not any(alone.takes(slo) for slo in slos):
            known = dict.fromkeys(name for slo in slos for name in there(slo) if name)
            return f"no SLO has {flag} {text}{suggest(text, known)}"
    return "no SLO has all of " + " ".join(f"{flag} {text}" for flag, text, *_ in parts)


def _names_like(text: str) -> Callable[[Slo], Iterable[str]]:
    """An SLO's names, as full as the text is."""
    return lambda slo: [slo.id if "/" in text else slo.name]
