"""Pictures of the pages of a report, to be looked at: `python -m tests.browser.pictures reports/out /tmp/pictures`.

Each page at four widths, light and dark, from the top; needs Debian's chromium.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from playwright.sync_api import sync_playwright

WIDTHS = (360, 768, 1440, 1920)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
HEIGHT = 900


def take(folder: Path, out: Path, names: Sequence[str] = (), widths: Sequence[int] = WIDTHS) -> list[Path]:
    """Pictures of the index and of each SLO's page, or of those whose names contain one of `names`; the whole page each."""
    pages = [folder / "index.html", *sorted((folder / "slos").glob("*.html"))]
    chosen = [page for page in pages if not names or any(name in page.name for name in names)]
    out.mkdir(parents=True, exist_ok=True)
    made = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for scheme in SCHEMES:
            for width in widths:
                page = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
                for path in chosen:
                    page.goto(path.resolve().as_uri())
                    picture = out / f"{path.stem}-{width}-{scheme}.png"
                    page.screenshot(path=picture, full_page=True)
                    made.append(picture)
                page.close()
        browser.close()
    return made


if __name__ == "__main__":
    for shown in take(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]):
        print(shown)
