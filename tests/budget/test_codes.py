"""The codes of notes: which of them somebody should look at."""

from __future__ import annotations

from slo.budget.codes import CODES, needs_attention

# What is as it should be, or what nobody can put right.
QUIET = {
    "resets", "relabelled", "born", "not-finite", "gaps", "ledger", "no-traffic", "not-asked", "judged-twice", "stepwise", "coarse", "recorded",
}  # fmt: skip


def test_a_note_that_something_can_be_done_about_needs_attention() -> None:
    assert {code for code in CODES if not needs_attention(code)} == QUIET
    for code in CODES.keys() - QUIET:
        assert CODES[code].action != "Nothing."
    assert needs_attention("a code of a later version")
