"""What commands that only look may import: their start is measured (`make bench`), its cause is held here."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

from rows import each_row

TYPER = (
    "import sys, typer\napp = typer.Typer()\n@app.command()\ndef hello(): pass\n"
    "try: app(sys.argv[1:])\nexcept SystemExit: pass\n"
)
RUN = (
    "import sys\nsys.argv = ['techsapo', *sys.argv[1:]]\nfrom techsapo_ops.cli.main import main\n"
    "try: main()\nexcept SystemExit: pass\n"
)
LIST = "import sys\nprint('\\nIMPORTED', *(name for name, module in sys.modules.items() if module))\n"


def imported(code: str, folder: Path, *words: str) -> set[str]:
    """Modules that a new interpreter has after `code`."""
    argv = [sys.executable, "-c", code + LIST, *words]
    said = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True).stdout
    return set(said.rpartition("IMPORTED")[2].split())


def foreign(modules: set[str]) -> set[str]:
    """Packages that are neither Python's own nor this one."""
    tops = {module.partition(".")[0] for module in modules}
    return {top for top in tops if not top.startswith("_")} - set(sys.stdlib_module_names) - {"techsapo_ops"}


@cache
def typers() -> set[str]:
    """Those of a command line that does nothing."""
    return foreign(imported(TYPER, Path.cwd()))


LOW = {"cli", "catalogue", "errors", "messages", "apply", "services", "adapters", "stack", "spec"}
"""Rooms from which something may be needed to look: what is said, who is trusted, where things are."""


@each_row(
    "command, packages, rooms, most",
    [
        ("ps", set(), LOW | {"engines"}, 52),
        ("validate", {"yaml", "cython_runtime"}, LOW | {"masking", "render"}, 72),
    ],
)
def test_a_command_that_only_looks_imports_little(
    tmp_path: Path, command: str, packages: set[str], rooms: set[str], most: int
) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: techsapo\n")
    found = imported(RUN, tmp_path, command)
    assert foreign(found) - typers() <= packages
    ours = sorted(module for module in found if module.startswith("techsapo_ops."))
    assert {module.split(".")[1] for module in ours} <= rooms
    assert len(ours) <= most, ours
    assert not {"asyncio", "sqlite3", "multiprocessing"} & found
