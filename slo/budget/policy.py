"""What an error-budget policy says of a budget as it stands."""

from __future__ import annotations

from collections.abc import Sequence

from slo.budget.incidents import Incident
from slo.display import show_percent
from slo.spec.model import PolicyStep

# SRE workbook, appendix B: a single incident of more than this share of the budget needs a postmortem.
POSTMORTEM_SHARE = 0.2


def policy_actions(
    steps: Sequence[PolicyStep], remaining: float | None, incidents: Sequence[Incident]
) -> tuple[str, ...]:
    """What is to be done now, most pressing first; nothing where the budget is unknown or suffices.

    The policy's step for the least budget that has been passed, and a postmortem for each incident that consumed more
    than a fifth of the budget. `remaining` is a share of the budget.
    """
    if remaining is None:
        return ()
    actions = []
    left = round(remaining, 12)  # 1 - 0.8 is a little less than 0.2 in binary
    for step in steps:
        below = float(step.below)
        if left < below or left <= 0 == below:
            actions.append(step.follows)
            break
    for incident in incidents:
        if incident.budget_share > POSTMORTEM_SHARE:
            day = f"{incident.start.day} {incident.start:%b %Y %H:%M}"
            actions.append(
                f"A postmortem of the incident of {day}: it consumed {show_percent(incident.budget_share)} of the budget."
            )
    return tuple(actions)
