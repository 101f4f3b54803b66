"""What takes long to read or to work out, kept as JSON beside Python's compiled files, and made like them.

Never pickle: whoever could write there would run code. It is made again when what it is made of has changed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDER = "__pycache__"


def compiled(file: Path, sources: Mapping[str, Path], version: int, make: Callable[[], Any]) -> Any:
    """What `make` makes of the `sources`, by their names, as JSON has it: from `file` where it is current.

    `version` is another one for each change of how it is made. None where it can't be written: on a full
    disk, in a folder of root's, and where Python is to write no compiled files.
    """
    facts = [[name, (stat := path.stat()).st_mtime_ns, stat.st_size] for name, path in sources.items()]
    made_of = [version, *facts]
    # None yet, or a damaged one.
    with suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
        made = json.loads(file.read_bytes())
        if made["made_of"] == made_of:
            return made["data"]
    if sys.dont_write_bytecode:
        return None
    data = make()
    part = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(exist_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as opened:
            json.dump({"made_of": made_of, "data": data}, opened)
        part.replace(file)
    except OSError:
        return None
    finally:
        with suppress(OSError):  # a full disk would get one for each command
            part.unlink()
    return data
