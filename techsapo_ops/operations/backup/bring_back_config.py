"""The configuration: spec, templates, API keys and `backup.config.paths`; the rest follows from the spec."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from techsapo_ops import __version__
from techsapo_ops.adapters.files import private_folder, read_text, write_atomic
from techsapo_ops.adapters.nofollow import NoFollowFile
from techsapo_ops.adapters.packed import Stream, cannot_write
from techsapo_ops.adapters.tarball import ArchiveError, entries
from techsapo_ops.backup.config import digest_of
from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.masked_spec import filled
from techsapo_ops.backup.repository import Backup
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.api_keys import keys_owner
from techsapo_ops.operations.backup.bring_back import Live, Target, Told
from techsapo_ops.operations.backup.sources import Stack, config_source, config_trees
from techsapo_ops.render.template_folders import is_copy_of_ours, overrides_folder
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.layout import OLD_OVERRIDES, OVERRIDES

_BESIDE = "config-before-restore"
_UNPACKED = "config-restoring"
_INDEX = "index.json"
_PATHS = "paths/"
_LARGEST_SPEC = 16 * 1024 * 1024
"""Bytes of a spec, which is looked into in memory."""


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
        every = len(_places(stack, part))
        return f"techsapo-ops {__version__}", f"{changed} of {every} files differ" if every else ""

    def targets(self, stack: Stack, part: Part) -> tuple[Target, ...]:
        """See Live. Raises OpsError where a link stands on the way to one."""
        places = _places(stack, part)
        changed = set(_changed(stack, part))
        found = [
            Target(
                str(place.path), ("replaced" if place.look() else "new") if name in changed else "the same"
            )
            for name, place in places.items()
        ]
        found += [
            Target(f"/{name.removeprefix(_PATHS)}", "left", "it is not below backup.config.paths")
            for name in part.facts["files"]
            if name.startswith(_PATHS) and name not in places
        ]
        found += [Target(name, "left", why) for name, why in _left_templates(stack, part).items()]
        return tuple(sorted(found, key=lambda target: target.path))

    def require(self, stack: Stack, backup: Backup, part: Part) -> None:
        """See Live. Raises OpsError for a spec that does not hold as it would come back."""
        spec = stack.topology.layout.spec_file.name
        for name, _, content in _contents(backup, part):
            if name == spec:
                _require_same_overrides(stack, part, stack.check_spec(_spec(stack, content)))

    def bring(self, stack: Stack, backup: Backup, part: Part, told: Told) -> None:
        """See Live. All of it is unpacked into a private folder and checked before a file goes."""
        places = _places(stack, part)
        with _unpacked(stack, backup, part, frozenset(_changed(stack, part))) as files:
            self._put_aside(stack, [places[file.name] for file in files])
            for file in files:
                place = places[file.name]
                facts = place.look()
                mode, owner = file.mode, None
                if facts is not None:
                    mode, owner = facts.st_mode, (facts.st_uid, facts.st_gid)
                elif file.name == _keys(stack):
                    owner = keys_owner(stack.topology)
                with file.path.open("rb") as content:
                    place.put(content, mode, owner)
                told("config", file.path.stat().st_size)

    def differences(self, stack: Stack, part: Part) -> list[str]:
        """See Live."""
        return [f"{name} is not what was backed up" for name in _changed(stack, part)]

    def back(self, stack: Stack, kind: str) -> None:
        """See Live."""
        folder = _beside(stack)
        if (folder / _INDEX).exists():
            for number, entry in enumerate(json.loads(read_text(folder / _INDEX))):
                place = NoFollowFile(Path(entry["path"]))
                if entry["mode"] is None:
                    place.remove()
                else:
                    with (folder / str(number)).open("rb") as content:
                        place.put(content, entry["mode"], tuple(entry["owner"]))
        self.done(stack, kind)

    def done(self, stack: Stack, kind: str) -> None:  # noqa: ARG002 - see Live
        """See Live."""
        folder = _beside(stack)
        (folder / _INDEX).unlink(missing_ok=True)  # half a folder without it means nothing
        for each in (folder, stack.topology.layout.state / _UNPACKED):
            if each.exists():
                shutil.rmtree(each)

    def _put_aside(self, stack: Stack, places: list[NoFollowFile]) -> None:
        """Copy what is there beside: as it is, secrets too, which a backup here does not hold."""
        folder = _beside(stack)
        (folder / _INDEX).unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)
        private_folder(folder, stack.topology.layout.state)
        index = []
        for number, place in enumerate(places):
            if place.look() is not None:
                try:
                    with _new(folder / str(number)) as copy:
                        facts = place.copy_to(copy)
                        copy.flush()
                        os.fsync(copy.fileno())
                except OSError as error:
                    raise cannot_write(folder / str(number), error) from None
                owner = [facts.st_uid, facts.st_gid]
                index.append({"path": str(place.path), "mode": facts.st_mode & 0o777, "owner": owner})
            else:
                index.append({"path": str(place.path), "mode": None, "owner": None})
        write_atomic(folder / _INDEX, json.dumps(index).encode(), 0o600)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the archive, unpacked at `path`."""

    name: str
    path: Path
    mode: int


def _keys(stack: Stack) -> str:
    """Name of the file of API keys in the archive."""
    return f"api-keys/{stack.topology.layout.api_keys.name}"


def _beside(stack: Stack) -> Path:
    return stack.topology.layout.state / _BESIDE


def _places(stack: Stack, part: Part) -> Mapping[str, NoFollowFile]:
    """Where each file of the archive belongs that is put back, by its name there.

    Only what the stack of today names: the archive's names choose among these, and below them. Generated
    files are made by `up`, out of the spec that came back and with the secrets that a backup does not hold;
    certificates without their keys are of no use.
    """
    layout = stack.topology.layout
    state = layout.state.resolve()
    overrides = stack.overrides
    left = _left_templates(stack, part)
    tops = {
        layout.spec_file.name: layout.spec_file.resolve(),
        _keys(stack): state / layout.api_keys.relative_to(layout.state),
        OVERRIDES: Path(os.path.realpath(overrides.folder)),
        OLD_OVERRIDES: Path(os.path.realpath(overrides.old or overrides.folder)),
        **{name: path.resolve() for name, path in config_trees(stack).items()},
    }
    files = frozenset({layout.spec_file.name, _keys(stack)})
    found = {}
    for name in part.facts["files"]:
        parts = name.split("/")
        for count in range(len(parts), 0, -1):
            top = "/".join(parts[:count])
            if top in tops and not (top in files and count < len(parts)) and name not in left:
                found[name] = NoFollowFile(tops[top].joinpath(*parts[count:]))
                break
    return found


def _left_templates(stack: Stack, part: Part) -> Mapping[str, str]:
    """Which of the archive's templates, by their names there, are not put back, and why.

    What comes from the folder of version 0.1 goes to the present one where that is not in use any more.
    """
    prefix = f"{OLD_OVERRIDES}/"
    files = part.facts["files"]
    overrides = stack.overrides
    names = {name.removeprefix(prefix): name for name in files if name.startswith(prefix)}
    if (obstacle := overrides.obstacle) is not None and not overrides.receives:
        theirs = (name for name in files if name.startswith((f"{OVERRIDES}/", prefix)))
        return dict.fromkeys(theirs, obstacle.message)
    if is_copy_of_ours(names):
        return dict.fromkeys(names.values(), "it is a built-in template of that version")
    if overrides.old is not None:
        return {}
    return {
        name: f"{OVERRIDES}/{below} comes before it"
        for below, name in names.items()
        if f"{OVERRIDES}/{below}" in files
    }


def _require_same_overrides(stack: Stack, part: Part, spec: Spec | None) -> None:
    """Raise OpsError where the spec that comes back looks for templates elsewhere than they come back to."""
    if spec is None:
        return
    there = overrides_folder(stack.directory, spec.template_overrides)
    here = stack.overrides.folder
    if there != here and any(
        place.path.is_relative_to(here.resolve()) for place in _places(stack, part).values()
    ):
        value = spec.template_overrides
        change = (
            f"write `template_overrides: {value}` into"
            if value is not None
            else "remove template_overrides from"
        )
        raise OpsError(
            f"the spec in the backup has its templates in {there}, the present one in {here}\n"
            "nothing was touched",
            f"{change} the present spec, and restore then",
        )


def _changed(stack: Stack, part: Part) -> Iterator[str]:
    """Names of the files that are not as they were when they were backed up, secrets masked as then."""
    source = config_source(stack)
    wanted: Mapping[str, str] = part.facts["files"]
    for name, place in _places(stack, part).items():
        if place.look() is None or source.digest(place.path) != wanted[name]:
            yield name


def _contents(backup: Backup, part: Part) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Name, mode and content of each file of the archive. Raises OpsError for one not in the manifest."""
    wanted: Mapping[str, str] = part.facts["files"]
    try:
        for entry, content in entries(Stream(backup.reader(part)), most=len(wanted)):
            if entry.folder or entry.name not in wanted:
                raise ArchiveError(f"{entry.name!r} is not in the manifest")
            yield entry.name, entry.mode, content
    except ArchiveError as error:
        raise OpsError(
            f"{backup.id}: its archive of the configuration can't be used: {error}", "choose another one"
        ) from None


@contextmanager
def _unpacked(stack: Stack, backup: Backup, part: Part, names: frozenset[str]) -> Iterator[list[_File]]:
    """The files of these names in a private folder, each with the digest of the manifest.

    They are gone after the block. The spec has its secrets filled in.
    """
    state = stack.topology.layout.state
    folder = state / _UNPACKED
    if folder.exists():  # of a run that was killed
        shutil.rmtree(folder)
    private_folder(folder, state)
    try:
        files: list[_File] = []
        for name, mode, content in _contents(backup, part):
            if name not in names:
                continue
            path = folder / str(len(files))
            pieces = content
            if name == stack.topology.layout.spec_file.name:
                pieces = iter([_whole(content)])
            try:
                with _new(path) as copy:
                    digest = digest_of(_tee(pieces, copy))
            except OSError as error:
                raise cannot_write(path, error) from None
            if digest != part.facts["files"][name]:
                raise OpsError(
                    f"{backup.id}: {name} has other content than the manifest says", "choose another one"
                )
            files.append(_File(name, path, mode))
        for file in files:
            if file.name == stack.topology.layout.spec_file.name:
                file.path.write_text(_spec(stack, iter([file.path.read_bytes()])), encoding="utf-8")
        yield files
    finally:
        shutil.rmtree(folder)


def _tee(pieces: Iterator[bytes], file: IO[bytes]) -> Iterator[bytes]:
    for data in pieces:
        file.write(data)
        yield data


def _whole(content: Iterator[bytes]) -> bytes:
    data = b""
    for piece in content:
        data += piece
        if len(data) > _LARGEST_SPEC:
            raise OpsError("the spec in the backup is too large", "choose another one")
    return data


def _spec(stack: Stack, content: Iterator[bytes]) -> str:
    """The spec as it would come back: with the secrets of the present one where they are masked."""
    path = stack.topology.layout.spec_file
    try:
        text = _whole(content).decode()
    except UnicodeDecodeError:
        raise OpsError(
            "the spec in the backup is not UTF-8\nnothing was touched", "choose another one"
        ) from None
    return filled(text, read_text(path, what="spec") if path.exists() else "", path.name)


def _new(path: Path) -> IO[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")
