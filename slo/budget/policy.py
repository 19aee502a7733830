"""What an error-budget policy says of a budget as it stands."""

from __future__ import annotations

from slo.budget.model import Budget
from slo.display import show_percent

# SRE workbook, appendix B: a single incident of more than this share of the budget needs a postmortem.
POSTMORTEM_SHARE = 0.2


def follows(budget: Budget) -> tuple[str, ...]:
    """What is to be done now, most pressing first; nothing where the budget is unknown or suffices.

    The policy's step for the least budget that has been passed, and a postmortem for each incident that spent more
    than a fifth of the budget.
    """
    if budget.remaining is None:
        return ()
    found = []
    left = round(budget.remaining, 12)  # 1 - 0.8 is a little less than 0.2 in binary
    for step in budget.slo.policy:
        below = float(step.below)
        if left < below or left <= 0 == below:
            found.append(step.follows)
            break
    for incident in budget.incidents:
        if incident.budget_share > POSTMORTEM_SHARE:
            day = f"{incident.start.day} {incident.start:%b %Y %H:%M}"
            found.append(
                f"A postmortem of the incident of {day}: it spent {show_percent(incident.budget_share)} of the budget."
            )
    return tuple(found)
