"""Copies of the spec and of the files that belong to it, in the state directory, which travels.

So a host that never ran the stack can go on with it where the operator's own machine was lost. They are as
secret as what they hold: for their owner alone, as the keys beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.spec.redact import secrets_of
from techsapo_ops.stack.stack import Stack

FOLDER = "spec-files"
"""Below the state directory."""
LACKING = ".lacking.json"
"""Beside them: what the spec names that lies elsewhere, and does not travel."""
_MOST = 4 << 20
_MODE = 0o600


def keep_spec_files(stack: Stack) -> None:
    """Bring the copies to what the files are now; nothing for a stack of one host.

    Raises OpsError where one can't be written. A file outside of the spec's folder, or larger than a setting
    should be, is listed and not copied.
    """
    if not stack.topology.machines:
        return
    top = stack.layout.state / FOLDER
    here = stack.layout.spec_file.resolve().parent
    wanted: dict[Path, bytes] = {}
    lacking = []
    for path in _belonging(stack):
        if not path.is_relative_to(here) or path.stat().st_size > _MOST:
            lacking.append(str(path))
        else:
            wanted[top / path.relative_to(here)] = path.read_bytes()
    wanted[top / LACKING] = json.dumps(sorted(lacking)).encode()
    top.mkdir(mode=0o700, parents=True, exist_ok=True)
    for copy, content in wanted.items():
        if not copy.is_file() or copy.read_bytes() != content:
            write_atomic(copy, content, _MODE)
    for old in sorted(top.rglob("*"), reverse=True):
        if old.is_dir():
            if not any(old.iterdir()):
                old.rmdir()
        elif old not in wanted:
            old.unlink()


def _belonging(stack: Stack) -> Iterator[Path]:
    """The spec, its .env, templates of the operator's own, and the files of its secrets, as far as there."""
    folder, overrides = stack.directory, stack.overrides
    named = [folder / Path(each).expanduser() for each in stack.spec.backup.config.paths]
    secrets = [
        folder / Path(secret.file).expanduser()
        for secret in secrets_of(stack.spec).values()
        if secret.file is not None
    ]
    trees = [overrides.folder] if overrides.obstacle is None else []
    trees += [overrides.old] if overrides.old is not None else []
    for path in dict.fromkeys([stack.layout.spec_file, folder / ".env", *secrets, *trees, *named]):
        if path.is_file():
            yield path.resolve()
        elif path.is_dir():
            yield from (each.resolve() for each in sorted(path.rglob("*")) if each.is_file())
