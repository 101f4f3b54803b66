"""`python -m techsapo_ops.cli.reference FOLDER`: write the man pages, in place of those there."""

from __future__ import annotations

import sys
from pathlib import Path

from techsapo_ops.cli.reference.commands import write_man_pages

if __name__ == "__main__":
    write_man_pages(Path(sys.argv[1]))
