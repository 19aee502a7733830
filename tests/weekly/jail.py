"""`python jail.py UNIT COMMAND…` runs a command under a unit's SystemCallFilter: a call that it does not allow kills it.

As systemd does it, with libseccomp, but stricter: where the unit lets a call fail, here it ends the process.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

KILL, ALLOW = 0x80000000, 0x7FFF0000


def allowed(unit: Path) -> set[str]:
    """The system calls that a unit allows: its lists, less those that begin with `~`."""
    groups: dict[str, list[str]] = {}
    name = ""
    listed = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        if line.startswith("@"):
            name = line.strip()
            groups[name] = []
        elif line.strip() and name and not line.strip().startswith("#"):
            groups[name].append(line.strip())

    def calls(entry: str) -> set[str]:
        return set[str]().union(*map(calls, groups[entry])) if entry.startswith("@") else {entry}

    found: set[str] = set()
    for line in unit.read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "SystemCallFilter":
            entries = set[str]().union(*map(calls, value.lstrip("~").split()))
            found = found - entries if value.startswith("~") else found | entries
    return found


def main() -> None:
    """Loads the filter and becomes the command."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(KILL)))
    for call in allowed(Path(sys.argv[1])):
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:
            library.seccomp_rule_add(context, ctypes.c_uint32(ALLOW), number, 0)
    if library.seccomp_load(context) != 0:
        sys.exit("the filter cannot be loaded here")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606


if __name__ == "__main__":
    main()
