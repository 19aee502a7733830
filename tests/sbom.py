"""Completes and checks the bill of materials that `make audit` makes: `python -m tests.sbom build/sbom.json`.

cyclonedx-py reads pyproject.toml, whose version is in slo/__init__.py.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.lowest import lowest

VERSION = re.compile(r'^__version__ = "(.+)"$', re.M)


def completed(document: dict[str, Any], version: str) -> dict[str, Any]:
    """The document with this package's version. Raises ValueError where a dependency of pyproject.toml is not in it."""
    names = {_plain(component["name"]) for component in document["components"]}
    absent = {_plain(requirement.partition("==")[0]) for requirement in lowest()} - names
    if absent:
        raise ValueError(f"the bill of materials lacks {', '.join(sorted(absent))}")
    unknown = [component["name"] for component in document["components"] if not component.get("version")]
    if unknown:
        raise ValueError(f"the bill of materials has no version of {', '.join(unknown)}")
    document["metadata"]["component"]["version"] = version
    return document


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Rewrites the file that is named."""
    path = Path(sys.argv[1])
    [version] = VERSION.findall((Path(__file__).parent.parent / "slo" / "__init__.py").read_text(encoding="utf-8"))
    document = completed(json.loads(path.read_text(encoding="utf-8")), version)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{path}: {len(document['components'])} packages")


if __name__ == "__main__":
    main()
