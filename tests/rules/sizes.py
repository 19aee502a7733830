"""The sizes of rules in docs/scale.md, of so many SLOs: `python -m tests.rules.sizes --slos 35 1000 10000` prints its table.

Rules, groups and bytes are counted in what `slo rules` writes; the samples that they read are those of the table of docs/rules.md, which
`python -m tests.rules.tables cost` measures on a server.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from slo.rules import compile_specs
from slo.rules.pack import packed
from slo.spec.load import load
from tests.shell import run

ROOT = Path(__file__).parents[2]
OF_SERVICE = 10
SLO = """\
  - name: s{number}
    objective: 99.9
    sli: {{ratio: {{errors: 'requests_total{{job="{job}",code=~"5.."}}', total: 'requests_total{{job="{job}"}}'}}}}
"""


@dataclass(frozen=True)
class Size:
    """What rules of so many SLOs come to: `fewest` groups are those of the least `--max-groups`; `samples` are read a second."""

    slos: int
    rules: int
    bytes: int
    groups: int
    fewest: int
    samples: float


def samples_a_minute() -> int:
    """What the rules of one SLO of 24 series read, by the table of docs/rules.md."""
    found = re.search(r"^\| 24 \| ours \| ([\d,]+) \|", (ROOT / "docs" / "rules.md").read_text(encoding="utf-8"), re.M)
    assert found is not None
    return int(found[1].replace(",", ""))


def size(slos: int) -> Size:
    """Of services of ten SLOs."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for service in range(-(-slos // OF_SERVICE)):
            own = range(service * OF_SERVICE, min(slos, (service + 1) * OF_SERVICE))
            text = "".join(SLO.format(number=number, job=f"service-{service}") for number in own)
            (place / f"{service}.yaml").write_text(f"service: service-{service}\nslos:\n{text}")
        done = run("rules", place, "--flat", "-o", place / "rules.yml")
        assert done.returncode == 0, done.stderr
        text = (place / "rules.yml").read_text(encoding="utf-8")
        groups = compile_specs(load(place))[0]
        fewest = slos
        while fewest > 1 and _fits(groups, fewest - 1):
            fewest -= 1
    return Size(
        slos,
        len(re.findall(r"^ *- (?:record|alert):", text, re.M)),
        len(text.encode()),
        len(re.findall(r"^ *- name:", text, re.M)),
        fewest,
        samples_a_minute() * slos / 60,
    )


def _fits(groups: object, most: int) -> bool:
    from slo.errors import ConfigError

    try:
        packed([groups], most)  # type: ignore[list-item]
    except ConfigError:
        return False
    return True


def row(of: Size) -> str:
    """A row of the table."""
    size_mb = of.bytes / 1e6
    shown = f"{size_mb:.1f}" if size_mb < 10 else f"{size_mb:.0f}"
    more = f", or {of.fewest:,}" if of.fewest < of.groups else ""
    return f"| {of.slos:,} | {of.rules:,} | {shown} MB | {of.groups:,}{more} | {float(f'{of.samples:.3g}'):,.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slos", type=int, nargs="+", default=[35, 1_000, 10_000])
    print(
        "| SLOs | rules | file (`--flat`) | groups, or at least with `--max-groups` | samples read a second |\n|---|---|---|---|---|"
    )
    for slos in parser.parse_args().slos:
        print(row(size(slos)), flush=True)


if __name__ == "__main__":
    main()
