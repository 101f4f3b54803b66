"""What `techsapo` wrote into an output folder: how a hand-edited file is told from our own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.json_files import read_json, write_json
from techsapo_ops.messages import msg

MANIFEST = ".manifest.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Written:
    """One file of ours: the digests its content may have, and whether it held a secret.

    There are two digests while files are being replaced: a kill between the renames leaves some old and
    some new, and neither was edited by anyone.
    """

    digests: tuple[str, ...]
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of ours below one folder, by path relative to it."""

    files: Mapping[str, Written] = field(default_factory=dict)

    def owns(self, path: str, content: bytes) -> bool:
        """Whether `content` is something that we put at `path`."""
        written = self.files.get(path)
        return written is not None and digest(content) in written.digests


def digest(content: bytes) -> str:
    """SHA-256, hexadecimal; the same as `RenderedFile.digest`."""
    return hashlib.sha256(content).hexdigest()


def read_manifest(directory: Path) -> Manifest:
    """The manifest of `directory`; an empty one where there is none.

    Raises OpsError when it can't be read: without it every file would look edited by hand.
    """

    def made(value: Any) -> Manifest:
        files = value["files"].items()
        return Manifest({str(n): Written(tuple(each["digests"]), bool(each["secret"])) for n, each in files})

    remedy = msg("remove that file and run `techsapo config generate --force`, which rewrites all files")
    return read_json(directory / MANIFEST, made, empty=Manifest(), remedy=remedy)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Replace the manifest of `directory`, which is its owner's alone: by the digest of a file that is one
    weak password, it could be guessed. Raises OpsError when it can't be written.
    """
    files = {
        path: {"digests": list(written.digests), "secret": written.secret}
        for path, written in sorted(manifest.files.items())
    }
    write_json(directory / MANIFEST, {"version": _VERSION, "files": files})
