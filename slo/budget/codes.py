"""What the codes of notes mean to a reader, and what to do about them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """A note's code. `attention` is True where somebody should look: the figures lack something that can be put right."""

    meaning: str
    action: str
    attention: bool


CODES: dict[str, Code] = {
    "resets": Code(
        "Counters restarted. Events between the last scrape before a restart and the restart itself are unknown.",
        "Nothing. Many restarts are a crash loop: look at the service.",
        False,
    ),
    "relabelled": Code(
        "Series continued under other labels. They count on from the value that they had.", "Nothing.", False
    ),
    "born": Code(
        "Series appeared on targets that were already scraped. Their first values count as events.", "Nothing.", False
    ),
    "in-doubt": Code(
        "Series appeared with values higher than the traffic of their targets makes possible. These events were not "
        "counted.",
        "If the events are real: scrape targets earlier in their life, or set `target_labels` to the labels that name a "
        "target.",
        True,
    ),
    "not-finite": Code(
        "Samples that cannot be true (NaN, infinite, negative, or a value that was gone again within 3 scrapes) were left "
        "out, or so were sums of a server that are infinite.",
        "If there are many, look at the exporter.",
        False,
    ),
    "several-writers": Code(
        "Several processes write one series, so its counter falls at many scrapes. The figures are withheld (state "
        "invalid).",
        "Give each process its own `instance` label.",
        True,
    ),
    "gap-unknown": Code(
        "Scrapes were missing for longer than the 2 hours that a server looks back. What happened in that time is "
        "unknown.",
        "Evaluate a recording (`slo record`), which has no such limit.",
        True,
    ),
    "gaps": Code(
        "Scrapes were missing for some time. The note says what that means for this kind of SLI.",
        "Look at the scrape targets in Prometheus (Status > Targets).",
        False,
    ),
    "fresh": Code(
        "The data begins within the window. What was before is unknown, and the figures are of the time since.",
        "Wait, or fill the history (`slo backfill`).",
        True,
    ),
    "retention": Code(
        "The server keeps less data than the window is long, so the oldest events are missing.",
        "Set the flag that the note names, or choose a shorter window.",
        True,
    ),
    "ledger": Code(
        "Steps that the source no longer has were taken from the ledger of the report job.", "Nothing.", False
    ),
    "no-data": Code(
        "The source has no series of this SLI in the window.",
        "Run `slo check PATH --source URL`: it names the selectors that match nothing.",
        True,
    ),
    "no-traffic": Code(
        "The series are there, but counted nothing in the window. Without events there is no SLI.", "Nothing.", False
    ),
    "low-traffic": Code(
        "There are so few events that a single error exhausts the error budget.",
        "Use a longer window or a lower objective.",
        True,
    ),
    "dead-alert": Code(
        "An alert needs an error ratio of 100% or more, so it can never fire.",
        "Change the windows under `alerting`.",
        True,
    ),
    "unmatched": Code(
        "A selector matches no series. The note names the labels and values that are there.",
        "Correct the selector. If the service has had no errors yet, the series appears with the first one.",
        True,
    ),
    "bound-missing": Code(
        "Some targets have a histogram without a bucket at the threshold. They are not counted.",
        "Give all targets the same buckets.",
        True,
    ),
    "no-such-bound": Code(
        "No target has a bucket at the threshold, so nothing can be counted (state no data).",
        "Use one of the bounds that the note lists as the threshold.",
        True,
    ),
    "not-a-probe": Code(
        "A probe has values outside 0..1. The figures are withheld (state invalid).",
        "Use a `threshold` SLI for a gauge, or another metric.",
        True,
    ),
    "impossible": Code(
        "There are fewer than 0 errors, or more errors than events. The figures are withheld (state invalid).",
        "Correct the selectors: errors must be a part of the total. The note lists the usual causes.",
        True,
    ),
    "impossible-steps": Code(
        "Some steps have more errors than events, though the whole window is plausible.",
        "Correct the selectors if there are many: errors must be a part of the total.",
        True,
    ),
    "judged-twice": Code(
        "A gauge was relabelled, and for up to 5 minutes it was judged under both names.", "Nothing.", False
    ),
    "stepwise": Code(
        "There are more than 6 million samples, so the server counted in steps instead of sending them.",
        "Nothing. See the limits in docs/counting.md.",
        False,
    ),
    "recorded": Code(
        "The figures are of the series that the rules recorded on the server. The note says how much, and what came from raw "
        "samples because no whole tiles that count this SLI are there: before the rules were loaded, or while the server was down.",
        "Nothing. `slo backfill` fills what is missing; `--from raw` counts raw samples.",
        False,
    ),
    "recorded-otherwise": Code(
        "The recorded series of this name count another SLI than the definition, or do not say what they count. Raw samples "
        "were read instead.",
        "Make the rules anew from the definitions (`slo rules`) and load them.",
        True,
    ),
    "copies": Code(
        "The recorded series of this SLO are there more than once, such as of two replicas, of two levels or of several clusters. "
        "Added up they could count twice, so raw samples were read; with `--from recorded` the figures are withheld.",
        "Load the rules at one level only, or give each level or cluster its own `recorded_labels`.",
        True,
    ),
    "coarse": Code(
        "The source has events per hour or day. Burn rates over less than that show the mean of the whole step.",
        "Give shorter steps if the alerts matter.",
        False,
    ),
    "definition": Code("The definition itself leaves no figures.", "Run `slo check PATH`.", True),
    "many-values": Code(
        "A label under `by` has more than 100 values. The first 100 have an error budget each, the others none.",
        "List the values that need an error budget of their own.",
        True,
    ),
    "no-past": Code("The previous window could not be read from the source.", "Look at the source.", True),
    "not-asked": Code(
        "Top contributors and percentiles take raw samples, which were read for the worst SLOs of the report alone.",
        "Nothing. `slo report --slo NAME` has them.",
        False,
    ),
    "no-breakdown": Code("The top contributors could not be read from the source.", "Look at the source.", True),
    "source": Code("The source sent a message with its answer.", "As the message says.", True),
}


def needs_attention(code: str) -> bool:
    """Whether somebody should look at a note; a code that is not known here counts as one."""
    return code not in CODES or CODES[code].attention
