"""The configuration: spec, templates, API keys and `backup.config.paths`; the rest follows from the spec."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from techsapo_ops import __version__
from techsapo_ops.adapters.files import private_folder, read_text, write_atomic
from techsapo_ops.adapters.packed import PackedReader, Stream
from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.masked_spec import filled
from techsapo_ops.backup.repository import Backup
from techsapo_ops.operations.backup_stack import Stack, config_source
from techsapo_ops.operations.live.base import Live, Told
from techsapo_ops.spec.layout import OVERRIDES

_BESIDE = "config-before-restore"
_INDEX = "index.json"


class LiveConfig(Live):
    """See Live. Files that the backup does not hold stay as they are."""

    named_only = True
    stops_app = False
    beside = True

    def service(self, kind: str) -> str:  # noqa: ARG002 - see Live
        """See Live."""
        return ""

    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        """See Live."""
        changed = len(self.differences(stack, part))
        every = len(_targets(stack, part))
        return f"techsapo-ops {__version__}", f"{changed} of {every} files differ" if every else ""

    def require(self, stack: Stack, backup: Backup, part: Part) -> None:
        """See Live. Raises OpsError for a spec that does not hold as it would come back."""
        for name, _, content in _contents(stack, backup, part):
            if name == stack.topology.layout.spec_file.name:
                stack.check_spec(content.decode())

    def bring(self, stack: Stack, backup: Backup, part: Part, told: Told) -> None:
        """See Live."""
        wrong = set(_changed(stack, part))
        wanted = [found for found in _contents(stack, backup, part) if found[0] in wrong]
        targets = _targets(stack, part)
        self._put_aside(stack, [targets[name] for name, _, _ in wanted])
        for name, mode, content in wanted:
            path = targets[name]
            owner = None
            if path.exists():
                facts = path.stat()
                owner, mode = (facts.st_uid, facts.st_gid), facts.st_mode & 0o777
            write_atomic(path, content, mode, owner)
            told("config", len(content))

    def differences(self, stack: Stack, part: Part) -> list[str]:
        """See Live."""
        return [f"{name} is not what was backed up" for name in _changed(stack, part)]

    def back(self, stack: Stack, kind: str) -> None:
        """See Live."""
        folder = _beside(stack)
        if (folder / _INDEX).exists():
            for number, entry in enumerate(json.loads(read_text(folder / _INDEX))):
                path = Path(entry["path"])
                if entry["mode"] is None:
                    path.unlink(missing_ok=True)
                else:
                    content = (folder / str(number)).read_bytes()
                    write_atomic(path, content, entry["mode"], tuple(entry["owner"]))
        self.done(stack, kind)

    def done(self, stack: Stack, kind: str) -> None:  # noqa: ARG002 - see Live
        """See Live."""
        folder = _beside(stack)
        (folder / _INDEX).unlink(missing_ok=True)  # half a folder without it means nothing
        if folder.exists():
            shutil.rmtree(folder)

    def _put_aside(self, stack: Stack, paths: list[Path]) -> None:
        """Copy what is there beside: as it is, secrets too, which a backup here does not hold."""
        folder = _beside(stack)
        self.done(stack, "config")
        private_folder(folder, stack.topology.layout.state)
        index = []
        for number, path in enumerate(paths):
            if path.exists():
                facts = path.stat()
                write_atomic(folder / str(number), path.read_bytes(), 0o600)
                index.append(
                    {"path": str(path), "mode": facts.st_mode & 0o777, "owner": [facts.st_uid, facts.st_gid]}
                )
            else:
                index.append({"path": str(path), "mode": None, "owner": None})
        write_atomic(folder / _INDEX, json.dumps(index).encode(), 0o600)


def _beside(stack: Stack) -> Path:
    return stack.topology.layout.state / _BESIDE


def _targets(stack: Stack, part: Part) -> Mapping[str, Path]:
    """Where each file of the archive belongs that is put back, by its name there.

    Generated files are made by `up`, out of the spec that came back and with the secrets that a backup does
    not hold; certificates without their keys are of no use.
    """
    layout = stack.topology.layout
    roots = {
        "api-keys": layout.api_keys.parent,
        OVERRIDES: stack.directory / OVERRIDES,
        "paths": Path("/"),
    }
    found = {}
    for name in part.facts["files"]:
        top, _, below = name.partition("/")
        if name == layout.spec_file.name:
            found[name] = layout.spec_file
        elif top in roots and ".." not in Path(below).parts:
            found[name] = roots[top] / below
    return found


def _changed(stack: Stack, part: Part) -> Iterator[str]:
    """Names of the files that are not as they were when they were backed up, secrets masked as then."""
    source = config_source(stack)
    wanted: Mapping[str, str] = part.facts["files"]
    for name, path in _targets(stack, part).items():
        if not path.is_file() or source.digest(path) != wanted[name]:
            yield name


def _contents(stack: Stack, backup: Backup, part: Part) -> Iterator[tuple[str, int, bytes]]:
    """Name, mode and content of every file that is put back; the spec with its secrets filled in."""
    targets = _targets(stack, part)
    stream = Stream(PackedReader(backup.folder / part.file))
    with tarfile.open(fileobj=stream, mode="r|") as tar:  # type: ignore[call-overload] # read() is all it calls
        for entry in tar:
            file = tar.extractfile(entry)
            if file is None or entry.name not in targets:
                continue
            content = file.read()
            if entry.name == stack.topology.layout.spec_file.name:
                path = targets[entry.name]
                now = read_text(path, what="spec") if path.exists() else ""
                content = filled(content.decode(), now, entry.name).encode()
            yield entry.name, entry.mode, content
