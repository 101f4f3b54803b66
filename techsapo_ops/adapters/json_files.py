"""JSON files of the tool's own: written whole or not at all, and read with one word for a damaged one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from techsapo_ops.adapters.folders import read_error
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

T = TypeVar("T")
DAMAGED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading one raises that holds something else than was written."""


def write_json(path: Path, value: Any, mode: int = 0o600) -> None:
    """Replace the file `path` by `value`. Raises OpsError when it can't be written."""
    from techsapo_ops.adapters.files import write_atomic  # `techsapo ps` only reads

    write_atomic(path, (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode(), mode)


def read_json(path: Path, made: Callable[[Any], T], *, empty: T, remedy: str) -> T:
    """What `made` makes of the value in the file `path`; `empty` where there is none.

    Raises OpsError where it can't be read, and with `remedy` where it is damaged: no JSON, or `made` raises
    one of DAMAGED.
    """
    try:
        return made(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return empty
    except OSError as error:
        raise read_error(path, error, msg("run as the user who ran `up`")) from None
    except DAMAGED:
        raise OpsError(msg("{path} is damaged", path=path), remedy) from None
