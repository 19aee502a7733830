"""What a message must not show: the user and password of an address, whatever its scheme and however it is mistyped."""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN = "…"
# From the slashes of an address to the last `@` before a space: a password may hold `/`, `?`, `#`, quotes and further `@`.
# (In two steps: as one expression it would take hours for a long text of slashes.)
_SLASHES = re.compile(r"(?::/+|//+)(?=[^/])")
# A parameter of an address that is named like a secret.
_PARAMETER = re.compile(
    r"([?&;#][\w.-]{0,40}(?:token|passw|passphrase|secret|credential|api_?key|auth|signature|sig)[\w.-]{0,40}=)([^\s&;#]+)",
    re.IGNORECASE,
)
# The same as `name=value` of its own, as connections to databases are written; a value in double quotes is a label's.
_ASSIGNED = re.compile(
    r"""(?<![\w.$-])((?:\w{0,40}_)?(?:token|password|passwd|passphrase|pwd|secret|api_?key)\s{0,4}=\s{0,4})('[^']+'|[^\s'"~;,&]+)""",
    re.IGNORECASE,
)
# What is a secret by its look: a chat's webhook, whose address is one, and tokens of a known form.
_LOOKS = re.compile(
    r"""(https?://(?:hooks\.[\w.-]+|[\w.-]*\.webhook\.office\.com|(?:[\w.-]+/)*(?:api/)?webhooks?)(?::\d+)?/)([^\s'"<>`]+)"""
    r"""|(\b(?:Bearer|Basic)\s+)((?=[A-Za-z._~+/-]*[0-9=])[A-Za-z0-9._~+/-]{8,}=*)"""
    r"""|()(\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*|\bxox[a-z]-[A-Za-z0-9-]{8,}|\bgh[a-z]_[A-Za-z0-9]{20,}|\bglpat-[\w-]{16,}|\bA[SK]IA[A-Z0-9]{16}\b)""",
)
# A user with a password, or either of them before a host with its port, wherever it stands in a text that names a source.
_USER = re.compile(r":[^\s]*@|[^/\s]@[\w.-]+:[0-9]+(?:/|\s*$)")
_LITERAL = re.compile(r"'((?:[^']|'')*)'")
# What stands before a literal of SQL that is a secret.
_BEFORE_SECRET = re.compile(
    r"(?:key_id|token|passw|passphrase|pwd|secret|credential|api_?key|private_?key|connection_string|auth)\w*\W{0,8}$",
    re.IGNORECASE,
)
# Names of environment variables whose values are secrets, or addresses that are, as a webhook's is; not where they are.
_SECRET_NAME = re.compile(
    r"(TOKEN|PASSW|PASSPHRASE|SECRET|CREDENTIAL|WEBHOOK|HEADERS|API_?KEY|PRIVATE_?KEY)(?!.*_(FILE|PATH|DIR)$)",
    re.IGNORECASE,
)
_LEAST_SECRET = 6  # characters; a shorter value is a word that messages need


def hide_userinfo(text: str) -> str:
    """Free text with `…` in the place of what stands between the slashes of an address and its `@`, of the values of its
    parameters that are named like secrets, of `password=…`, and of what is a secret by its look, as a chat's webhook.

    >>> hide_userinfo("cannot open postgres://user:pa/ss@db:5432: refused")
    'cannot open postgres://…@db:5432: refused'
    >>> hide_userinfo("http://host/?a=b&access_token=xyz: no such file")
    'http://host/?a=b&access_token=…: no such file'
    """
    if "@" in text:
        text = "".join(map(_without_user, re.split(r"(\s+)", text)))
    if "=" in text:
        text = _ASSIGNED.sub(_without_value, _PARAMETER.sub(_without_value, text))
    return _LOOKS.sub(_without_look, text) if len(text) >= _LEAST_SECRET else text


def hide_literals(message: str, sql: str) -> str:
    """A message on a SQL text without those of its literals that are passwords, keys or tokens.

    >>> hide_literals("cannot log in with 'hunter2'", "CREATE SECRET (TYPE s3, KEY_ID 'AKIA', SECRET 'hunter2')")
    "cannot log in with '…'"
    """
    for match in _LITERAL.finditer(sql):
        if match[1].strip() and _BEFORE_SECRET.search(sql[max(0, match.start() - 60) : match.start()]):
            message = message.replace(match[1], HIDDEN)
        for assigned in _ASSIGNED.finditer(match[1]):
            message = message.replace(assigned[2].strip("'"), HIDDEN)
    return hide_userinfo(message)


def _without_user(word: str) -> str:
    before, at, host = word.rpartition("@")
    match = _SLASHES.search(before)
    return word if not at or match is None else f"{before[: match.end()]}{HIDDEN}@{host}"


def _without_value(match: re.Match[str]) -> str:
    """The name of a parameter, and what a sentence has behind its value."""
    value = match[2]
    behind = "" if value[0] == "'" else value[len(value.rstrip(""":,.'")]""")) :]
    return f"{match[1]}{HIDDEN}{behind}"


def _without_look(match: re.Match[str]) -> str:
    number = match.lastindex or 0
    value = match[number]
    behind = value[len(value.rstrip(":,.)]")) :]
    return f"{match[number - 1]}{HIDDEN}{behind}"


def without_userinfo(address: str) -> str:
    """A text that is known to be an address, or was meant to be one, without all that stands before its last `@`.

    >>> without_userinfo("http://user:pa/s s@host:9090"), without_userinfo("user:pass@host")
    ('http://host:9090', 'host')
    """
    before, at, host = address.strip().rpartition("@")
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*(:/+|//+)", before)
    return f"{scheme[0] if scheme else ''}{host}" if at else host


def holds_userinfo(text: str) -> bool:
    """Whether a text that names a source holds a user or password, with a scheme or without one."""
    return hide_userinfo(text) != text or _USER.search(text) is not None


def has_userinfo(url: str) -> bool:
    """Whether a right address that is shown to others, as a link, has a user before its host: `https://user:password@host/`."""
    return re.match(r"\s*[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*@", url) is not None


# A key or a word as people write them. Nearly all passwords and tokens have a digit or another character.
_WORD = re.compile(r"(?=.{1,40}$)[A-Za-z]+(?:[_.-][A-Za-z]+)*")
# What a token is made of, between the slashes and dots of a path; and a piece of it that no name has: 8 characters and
# more, of letters and digits in turn or of capitals among small letters.
_TOKEN = re.compile(r"[A-Za-z0-9+=_~-]{16,}")
_TURNS = re.compile(r"[0-9][A-Za-z]|[A-Za-z][0-9]|[a-z][A-Z]")


def is_word(text: str) -> bool:
    """Whether a text is a key or a name by its look, and no password: letters, with `_`, `-` and `.` between them.

    >>> is_word("bearer_tokn"), is_word("X-Scope-OrgID"), is_word("hunter2"), is_word("basic_password:pw")
    (True, True, False, False)
    """
    return _WORD.fullmatch(text) is not None


def looks_secret(text: str) -> bool:
    """Whether a text that should name a file or a server is a secret by its look: a token, or a user with a password.

    >>> looks_secret("s8Kq2mZx91LpQw7d"), looks_secret("user:pw"), looks_secret("recording-2026-11-20.parquet")
    (True, True, False)
    """
    if holds_userinfo(text) or (re.fullmatch(r"[^/\s:]+:[^\s]*[^\d\s][^\s]*", text.strip()) and "://" not in text):
        return True
    return any(
        any(len(piece) >= 8 and len(_TURNS.findall(piece)) >= 3 for piece in re.split(r"[-_+=~]", token))
        for token in _TOKEN.findall(text)
    )


def hide_secrets(text: str, environment: Mapping[str, str]) -> str:
    """The same as `hide_userinfo`, and without the values of environment variables that are named like secrets."""
    secrets = [value for name, value in environment.items() if _SECRET_NAME.search(name)]
    # `Name: value; Name: value`: each value is one, too.
    secrets += [part.partition(":")[2].strip() for text in secrets for part in text.split(";")]
    for secret in sorted((value for value in secrets if len(value) >= _LEAST_SECRET), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return hide_userinfo(text)
