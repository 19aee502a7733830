"""The summary of a report as a message: its Markdown as plain text for a mail, and as a chat takes it."""

from __future__ import annotations

import re

# Slack cuts a message at 40,000 characters, and shows no more than a few thousand without a click; mail servers take more.
MOST_CHAT, MOST_MAIL, MOST_SUBJECT = 3800, 100_000, 200
# As `report.plain` writes text: what Markdown would take for its own is behind a backslash, `&` and `@` are entities.
_INLINE = re.compile(r"\\(?P<literal>.)|&(?P<entity>#64|amp);|(?P<bold>\*\*)|(?P<text>[^\\&*]+|.)", re.DOTALL)
# What a chat takes for formatting where it stands at a word's edge: `_x_`, `*x*`, `~x~`. Backticks mean there what they mean here.
_FORMATTING = re.compile(r"(?<!\w)[*_~]+(?=\S)|(?<=\S)[*_~]+(?!\w)")
# Words that notify everybody in chats that take them from a text as it is.
_EVERYBODY = re.compile(r"@(?=(?:here|channel|everyone|all)\b)", re.IGNORECASE)
_ZERO_WIDTH_SPACE = "\u200b"


def mail_text(markdown: str) -> str:
    """The whole summary without marks, cut where it is very long."""
    lines = [_shown(line, "") for line in markdown.splitlines() if not re.fullmatch(r"\|[-:| ]+\|", line)]
    return _cut("\n".join(lines).strip(), MOST_MAIL, "the page has the rest") + "\n"


def chat_text(markdown: str, link: str = "") -> tuple[str, bool]:
    """The summary without its table, which chats do not draw, as Slack takes text; and whether its `*` mean bold.

    They do not where the text itself has what a chat would take for formatting, for which Slack has no escape: then
    the whole message is to be shown as it is. `link` is the page's address.
    """
    lines = [line for line in markdown.splitlines() if not line.startswith("|")]
    plain = re.sub(r"\n{3,}", "\n\n", "\n".join(_shown(line, "") for line in lines)).strip()
    bold = not _FORMATTING.search(plain)
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(_shown(line, "*") for line in lines)).strip() if bold else plain
    end = f"\n{_escaped(link)}" if link else ""
    # What is cut is text, never half of an entity; escaping may make it longer again, up to five times.
    most = MOST_CHAT - len(end)
    rest = "see the page" if link else "see the report"
    short = _cut(text, most, rest)
    while len(_escaped(short)) > most + 100 and len(short) > 200:
        text = short = _cut(text, len(short) * 3 // 4, rest)
    return _escaped(short) + end, bold


def subject_text(text: str) -> str:
    """A mail's subject: one line that is not too long."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= MOST_SUBJECT else f"{line[: MOST_SUBJECT - 1]}…"


def _shown(line: str, bold: str) -> str:
    """A line of Markdown as text; `bold` stands where bold text begins and ends."""
    line = re.sub(r"^#+ ", "", line)
    parts = []
    for match in _INLINE.finditer(line):
        if match["bold"]:
            parts.append(bold)
        elif match["entity"]:
            parts.append("@" if match["entity"] == "#64" else "&")
        else:
            parts.append(match["literal"] or match["text"])
    return "".join(parts)


def _escaped(text: str) -> str:
    """Slack's own escaping: three characters, and nothing else."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _EVERYBODY.sub(f"@{_ZERO_WIDTH_SPACE}", text)


def _cut(text: str, most: int, rest: str) -> str:
    """A text of at most `most` characters, cut at the end of a line where there is one."""
    if len(text) <= most:
        return text
    end = f"\n… (cut here; {rest})"
    kept = text[: most - len(end)]
    line = kept.rfind("\n")
    return (kept[:line] if line > len(kept) // 2 else kept).rstrip() + end
