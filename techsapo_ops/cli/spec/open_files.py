"""Files with a project's secrets that every user of this host may read."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.files import read_by_all, read_text
from techsapo_ops.messages import msg
from techsapo_ops.spec.user_path import user_path

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec


@dataclass(frozen=True, slots=True)
class OpenFile:
    """One file, its mode, and what is in it."""

    path: Path
    mode: int
    holds: str

    @property
    def message(self) -> str:
        """What is wrong with it."""
        return msg(
            "every user of this host may read it (mode {mode:04o}), and it holds {holds}",
            mode=self.mode,
            holds=self.holds,
        )

    @property
    def hint(self) -> str:
        """What puts it right."""
        shown = os.path.relpath(self.path) if self.path.is_relative_to(Path.cwd()) else str(self.path)
        return f"chmod 600 {shlex.quote(shown)}"


def open_files(spec_file: Path, spec: Spec) -> Iterator[OpenFile]:
    """`.env`, the spec itself where a secret stands in it, and the files of secrets that it names."""
    directory = spec_file.parent
    dotenv = directory / ".env"
    if (mode := read_by_all(dotenv)) is not None:
        yield OpenFile(dotenv, mode, msg("variables that may be secret"))
    if (mode := read_by_all(spec_file)) is not None and _written(spec_file):
        yield OpenFile(spec_file, mode, msg("secrets in the open"))
    from techsapo_ops.spec.redact import secrets_of

    named = {secret.file for secret in secrets_of(spec).values() if secret.file is not None}
    for path in sorted(user_path(each, directory) for each in named):
        if (mode := read_by_all(path)) is not None:
            yield OpenFile(path, mode, msg("a secret of the spec"))


def _written(spec_file: Path) -> bool:
    """Whether the spec's text has a secret of any environment."""
    from techsapo_ops.spec.redact import written_secrets
    from techsapo_ops.spec.source import parse

    return bool(written_secrets(parse(read_text(spec_file, what=msg("spec")), spec_file.name).data))
