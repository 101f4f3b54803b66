"""`make picture`: runs `make up` on a terminal and draws what it showed, and that stack's pages."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 110
ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs/images"
TARGET = IMAGES / "up.svg"
PAGE = "http://localhost:4000"
QUESTION = "nginx answers 502 for some requests. What do I check first?"
MOST = 200_000
"""Bytes of a picture: everybody who clones has them."""


def record(argv: list[str]) -> str:
    """Run `argv` on a terminal of its own and return everything that it wrote there."""
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    process = subprocess.Popen(argv, cwd=ROOT, stdin=child, stdout=child, stderr=child, env=environment)
    os.close(child)
    shown = bytearray()
    while True:
        try:
            chunk = os.read(parent, 65536)
        except OSError:  # the last writer closed the terminal
            break
        if not chunk:
            break
        shown += chunk
    if process.wait() != 0:
        sys.exit(f"{argv} exited {process.returncode}:\n{shown.decode(errors='replace')}")
    return shown.decode(errors="replace").replace("\r\n", "\n")


def main() -> None:
    """Draw the picture; the folder of this checkout is shown as ~/techsapo-ops."""
    shown = record(["make", "--no-print-directory", "up", *sys.argv[1:]]).replace(str(ROOT), "~/techsapo-ops")
    shown = re.sub(r"\x1b\[\?\d+[hl]", "", shown)
    # Which images this host lacks, and where it looked for them, is nothing of a reader's.
    shown = re.sub(r"engine: native \([^)]*\)", "engine: native (there is no docker on PATH)", shown)
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text("$ make up", style="bold"))
        console.print(Text.from_ansi(shown.rstrip()))
    # The fonts that rich's template fetches from a content network are left out: a viewer has its own.
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="techsapo"), flags=re.DOTALL)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(svg, encoding="utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}")
    pages()


def pages() -> None:
    """Draw the Ask page with an answer, and the Status page, in English."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        page = chromium.new_context(viewport={"width": 1100, "height": 860}, color_scheme="light").new_page()
        page.goto(f"{PAGE}/?lang=en")
        page.locator("textarea").first.fill(QUESTION)
        page.locator("textarea").first.press("Control+Enter")
        page.locator("#result").wait_for(state="visible", timeout=60_000)
        picture(page.screenshot(), "ask.png")
        page.goto(f"{PAGE}/status?lang=en")
        page.locator("table").first.wait_for(state="visible", timeout=60_000)
        page.wait_for_timeout(2000)  # each of its parts comes by itself
        picture(page.screenshot(), "status.png")
        chromium.close()


def picture(content: bytes, name: str) -> None:
    """Write a picture; ends the program where it is too large."""
    if len(content) > MOST:
        sys.exit(f"{name} has {len(content)} bytes, at most {MOST} are wanted")
    (IMAGES / name).write_bytes(content)
    print(f"wrote docs/images/{name}, {len(content) // 1000} kB")


if __name__ == "__main__":
    main()
