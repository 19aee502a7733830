"""All kinds of SLI: those of the files alongside this one, and those of installed packages. A definition names one by its `key`."""

from __future__ import annotations

from slo import plugins
from slo.errors import ConfigError
from slo.sli.base import Sli
from slo.sli.freshness import Freshness
from slo.sli.latency import Latency
from slo.sli.outage import Outage
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.sli.raw import Raw
from slo.sli.threshold import Threshold

# In the order in which people read of them.
KINDS: dict[str, type[Sli]] = {
    kind.key: kind for kind in (Ratio, Latency, Probe, Raw, Threshold, Freshness, Outage)
}  # fmt: skip


def _add_installed() -> None:
    for name, point in plugins.installed(plugins.KINDS).items():
        kind = plugins.load(point)
        if name in KINDS or kind.key != name:
            taken = "which there is already" if name in KINDS else f"but its `key` is {kind.key!r}"
            raise ConfigError(f"{plugins.KINDS} {name!r} ({point.value}) adds a kind of that name, {taken}")
        KINDS[name] = kind


_add_installed()
