"""All kinds of SLI. A definition names one by its `key`."""

from __future__ import annotations

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
