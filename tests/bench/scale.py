"""Many SLOs on one server: status and report from recorded series and from raw samples, and history for their rules.

python -m tests.bench.scale FOLDER --slos 1000 --days 31
python -m tests.bench.scale FOLDER --backfill 49

The recorded series are those of four SLOs, made by `slo backfill` and loaded by promtool, and copies of their tiles under other
names: what a server holds of so many SLOs. FOLDER keeps the server's data, and is used again where it is there.
"""

from __future__ import annotations

import argparse
import calendar
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from slo.rules import RuleGroup, compile_specs, to_yaml
from slo.spec.load import load
from tests.rules import history
from tests.rules.history import DAY, HOUR, START
from tests.rules.replay import passes
from tests.servers import Prometheus, load_openmetrics, promtool

TOTAL = 'requests_total{job="shop"}'
FORMS = {
    "errors": f"{{ratio: {{errors: 'requests_total{{job=\"shop\",code=~\"5..\"}}', total: '{TOTAL}'}}}}",
    "one-code": f"{{ratio: {{errors: 'requests_total{{job=\"shop\",code=\"503\"}}', total: '{TOTAL}'}}}}",
    "good": f"{{ratio: {{good: 'requests_total{{job=\"shop\",code!~\"5..\"}}', total: '{TOTAL}'}}}}",
    "created": f"{{ratio: {{errors: 'requests_total{{job=\"shop\",code=\"500\"}}', total: '{TOTAL}'}}}}",
}
BLOCK_S = 54 * HOUR
_COPIED = re.compile(rb"(?:slo:events:increase[15]m|slo_info)\{")


def definition(copies: int) -> str:
    """One file: each form under so many names."""
    lines = ["service: shop", "slos:"]
    for form, sli in FORMS.items():
        lines += [f"  - {{name: {form}-{number}, objective: 99.9, sli: {sli}}}" for number in range(copies)]
    return "\n".join(lines) + "\n"


def run(*arguments: str | Path) -> tuple[float, float, str]:
    """Seconds, MB at most, and what it printed, of one run of the command line."""
    code = "import sys; from slo.cli.main import main; sys.exit(main())"
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, said = process.communicate()
    took = time.monotonic() - began
    if process.returncode not in (0, 1):
        raise SystemExit(said.decode()[-3000:])
    return took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000, out.decode()


def consumed(server: Prometheus) -> float:
    """Seconds of processor time that a server and the commands so far have had: what other programs do is not in it."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / ticks + children.ru_utime + children.ru_stime


def copied(folder: Path, copies: int) -> Iterator[tuple[int, list[bytes]]]:
    """The text of the base SLOs' files, block by block: what is recorded of all of them, and the tiles once for each copy."""
    blocks: dict[int, list[Path]] = {}
    for file in sorted(folder.glob("*.om")):
        at = time.strptime(file.stem + "+0000", "%Y-%m-%dT%H%z")
        blocks.setdefault(calendar.timegm(at) // BLOCK_S, []).append(file)
    for block, files in sorted(blocks.items()):
        lines = [line for file in files for line in file.read_bytes().splitlines(keepends=True) if line[:1] != b"#"]
        tiles = b"".join(line for line in lines if _COPIED.match(line))
        pieces = [b"".join(lines)]
        for number in range(1, copies):
            pieces.append(re.sub(rb'slo="([a-z-]+)-0"', rb'slo="\1-%d"' % number, tiles))
        yield block, pieces


def prepare(place: Path, slos: int, days: float) -> tuple[Path, Path, int]:
    """The definitions, the server's data, and the end of what it has, in seconds."""
    place.mkdir(parents=True, exist_ok=True)
    copies = max(1, slos // len(FORMS))
    file, base, data = place / "many.yaml", place / "base.yaml", place / "data"
    file.write_text(definition(copies))
    base.write_text(definition(1))
    end = START + int(days * DAY)
    if (place / "done").exists():
        return file, data, end
    history.write(place / "history.txt", days=days, instances=4, histogram=False)
    load_openmetrics(place / "history.txt", data)
    with Prometheus(place, data=data) as server:
        took, _, _ = run(
            "backfill", base, "-s", server.url, "-o", place / "om", "--start", str(START + HOUR), "--end", str(end)
        )
        print(f"backfill of {len(FORMS)} SLOs: {took:.1f} s")
    for block, pieces in copied(place / "om", copies):
        text = place / "block.om"
        with text.open("wb") as out:
            out.writelines(pieces)
            out.write(b"# EOF\n")
        load_openmetrics(text, data, block="54h")
        print(f"block {block} loaded", flush=True)
    (place / "block.om").unlink(missing_ok=True)
    (place / "done").touch()
    return file, data, end


def table(place: Path, slos: int, days: float, raw: int, report: bool) -> None:
    """Status and report of many SLOs, in one run."""
    file, data, end = prepare(place, slos, days)
    with Prometheus(place, data=data) as server:
        # Before the planted pause in scraping: an SLO whose tiles are not whole is counted step by step.
        asked: Sequence[str | Path] = (file, "-s", server.url, "--end", str(end - 11 * int(HOUR)))
        run("status", *asked, "--slo", "errors-0", "--from", "recorded")  # what a server reads first it reads from disk
        before = consumed(server)
        took, memory, out = run("status", *asked, "--from", "recorded")
        used = consumed(server) - before
        rows = len(out.splitlines()) - 1
        head = f"| `slo status` of {rows:,} SLOs from recorded series"
        print(f"{head} | {took:.1f} s, {used:.1f} s of processors | {memory:.0f} MB |", flush=True)
        some = [text for number in range(raw) for text in ("--slo", f"errors-{number}")]
        start, _, _ = run("--version")
        before = consumed(server)
        slow, memory, _ = run("status", *asked, *some, "--from", "raw")
        each, each_used = (slow - start) / raw, (consumed(server) - before) / raw
        print(f"| one SLO from raw samples | {each:.2f} s, {each_used:.2f} s of processors | {memory:.0f} MB |")
        times = f"{each * rows / took:.0f} times, {each_used * rows / used:.0f} times"
        print(f"| ratio for {rows:,} SLOs | {times} | |", flush=True)
        if report:
            # As `slo report` of now does, which the history is too old for: figures of the end of the last tile.
            folder = place / "report"
            before = consumed(server)
            took, memory, _ = run("report", *asked, "--from", "recorded", "-o", folder)
            used = consumed(server) - before
            index = (folder / "index.html").stat().st_size / 1000
            print(
                f"| `slo report` of {rows:,} SLOs | {took:.1f} s, {used:.1f} s of processors | {memory:.0f} MB, index {index:.0f} kB |"
            )


def loaded(files: Sequence[Path], blocks: Path) -> None:
    """Blocks of what was backfilled, as many files at once as there are cores."""

    def load_one(file: Path) -> None:
        done = promtool(
            "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=18h", "--quiet", file, blocks
        )
        assert done.returncode == 0, done.stdout + done.stderr

    blocks.mkdir(exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(load_one, files))


def by_promtool(place: Path, data: Path, groups: Sequence[RuleGroup], start: int, end: int) -> tuple[float, float]:
    """Seconds, and of processors, that promtool takes for groups of rules, pass by pass, and its server with it."""
    whole = place / "whole"
    shutil.copytree(data, whole)
    clock = processors = 0.0
    for number, level in enumerate(passes(groups)):
        folder = place / f"pass{number}"
        folder.mkdir()
        (folder / "rules.yml").write_text(to_yaml(level))
        with Prometheus(place, data=whole) as server:
            before, began = consumed(server), time.monotonic()
            done = promtool(
                "tsdb", "create-blocks-from", "rules", f"--url={server.url}", f"--start={start}", f"--end={end}",
                f"--output-dir={folder / 'blocks'}", "rules.yml", timeout=3600, cwd=folder,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            clock, processors = clock + time.monotonic() - began, processors + consumed(server) - before
        for block in (folder / "blocks").iterdir():
            shutil.move(str(block), whole / block.name)
    return clock, processors


def backfilled(place: Path, slos: int, days: float) -> None:
    """`slo backfill` of so many SLOs, blocks and all, and promtool's backfill of all rules of one of them."""
    place.mkdir(parents=True, exist_ok=True)
    file, single, data, end = place / "some.yaml", place / "single.yaml", place / "raw", START + int(days * DAY)
    lines = definition(-(-slos // len(FORMS))).splitlines(keepends=True)
    file.write_text("".join(lines[: 2 + slos]))
    single.write_text("".join(lines[:3]))
    if not data.exists():
        history.write(place / "history.txt", days=days, instances=4, histogram=False)
        load_openmetrics(place / "history.txt", data)
    with tempfile.TemporaryDirectory(dir=place) as name:
        work, start = Path(name), START + int(HOUR)
        with Prometheus(work, data=data) as server:
            before, began = consumed(server), time.monotonic()
            run("backfill", file, "-s", server.url, "-o", work / "om", "--start", str(start), "--end", str(end))
            computed, used = time.monotonic() - began, consumed(server) - before
            loaded(sorted((work / "om").glob("*.om")), work / "blocks")
            ours, ours_used = time.monotonic() - began, consumed(server) - before
        groups = compile_specs(load(single))[0]
        rules = sum(len(group.rules) for level in passes(groups) for group in level)
        theirs, theirs_used = by_promtool(work, data, groups, start, end)
    print("| | time | processors |\n|---|---|---|")
    print(f"| `slo backfill` of {slos} SLOs, {days:g} d | {computed:.0f} s | {used:.0f} s |")
    print(f"| the same, with blocks | {ours:.0f} s | {ours_used:.0f} s |")
    print(f"| promtool, {rules} rules of one SLO | {theirs:.0f} s | {theirs_used:.0f} s |")
    print(f"| promtool, {slos} SLOs, reckoned | {theirs * slos:,.0f} s | {theirs_used * slos:,.0f} s |")
    print(f"| ratio | {theirs * slos / ours:.0f} times | {theirs_used * slos / ours_used:.0f} times |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("place", type=Path)
    parser.add_argument("--slos", type=int, default=1000)
    parser.add_argument("--days", type=float, default=31)
    parser.add_argument("--raw", type=int, default=4, help="so many SLOs are counted from raw samples")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--prepare", action="store_true", help="only make the server's data")
    parser.add_argument("--backfill", type=int, default=0, help="so many SLOs are backfilled instead")
    given = parser.parse_args()
    if given.backfill:
        backfilled(given.place, given.backfill, given.days)
    elif given.prepare:
        prepare(given.place, given.slos, given.days)
    else:
        table(given.place, given.slos, given.days, given.raw, given.report)


if __name__ == "__main__":
    main()
