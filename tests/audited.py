"""Whether `make audit` has asked about everything: `python -m tests.audited build/audit.json`.

pip-audit says "No known vulnerabilities found", with exit code 0, of packages that it could not ask about, too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

OURS = "slo"
ANOTHER = "`make audit SERVICE=osv` asks another one"


def faults(document: dict[str, Any]) -> list[str]:
    """What keeps a report of pip-audit (its JSON) from being good: each a line."""
    dependencies = [entry for entry in document["dependencies"] if entry["name"] != OURS]
    skipped = [entry["name"] for entry in dependencies if "skip_reason" in entry]
    vulnerable = [
        f"{entry['name']} {entry['version']}: {vuln['id']}, fixed in {', '.join(vuln['fix_versions']) or 'no version'}"
        for entry in dependencies
        for vuln in entry.get("vulns", ())
    ]
    if dependencies and len(skipped) == len(dependencies):
        return [
            f"nothing was audited: the service that was asked gave no answer on any of {len(skipped)} packages; {ANOTHER}"
        ]
    lines = vulnerable + ([f"not audited: {', '.join(skipped)}"] if skipped else [])
    return lines if dependencies else ["nothing was audited"]


def main() -> None:
    """Prints what is wrong and ends with 1, or says how many packages were asked about."""
    try:
        document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        sys.exit(f"nothing was audited: pip-audit left no report, see above; {ANOTHER}")
    lines = faults(document)
    print("\n".join(lines) or f"{len(document['dependencies'])} packages without known vulnerabilities")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
