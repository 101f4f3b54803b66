"""`make picture`: runs `make up` on a terminal and draws what it showed, for the README."""

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
TARGET = ROOT / "docs/images/up.svg"


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
    shown = record(["make", "up", *sys.argv[1:]]).replace(str(ROOT), "~/techsapo-ops")
    shown = re.sub(r"\x1b\[\?\d+[hl]", "", shown)
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text("$ make up", style="bold"))
        console.print(Text.from_ansi(shown.rstrip()))
    # The fonts that rich's template fetches from a content network are left out: a viewer has its own.
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="techsapo"), flags=re.DOTALL)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(svg, encoding="utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
