"""The configuration: spec, templates, API keys and `backup.paths`; the rest follows from the spec."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops import __version__
from techsapo_ops.adapters.files import private_folder, read_text, remove_file, write_atomic
from techsapo_ops.adapters.nofollow import NoFollowFile
from techsapo_ops.adapters.packed import PackedReader, Stream, cannot_write
from techsapo_ops.adapters.tarball import ArchiveError, entries
from techsapo_ops.backup.kinds import config_archive
from techsapo_ops.backup.kinds.config_archive import (
    NAMED,
    changed,
    config_source,
    left_templates,
    places,
    require_same_overrides,
)
from techsapo_ops.backup.kinds.secret_files import (
    change_keys,
    filled,
    key_files,
    known_endings,
    put_keys,
    require_keys,
)
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.app.rendered_spec import keys_owner
from techsapo_ops.stack.backup import BackupKind, Part, Progress, Source, Target
from techsapo_ops.stack.shapes import each, has, member, sha256, text
from techsapo_ops.stores.key_endings import ended

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack

_BESIDE = "config-before-restore"
_UNPACKED = "config-restoring"
_INDEX = "index.json"
_LARGEST_SPEC = 16 * 1024 * 1024
"""Bytes of a spec, or of a file of keys, which are looked into in memory."""


def _listed(value: Any) -> bool:
    most = config_archive.MOST_FILES
    return isinstance(value, dict) and len(value) <= most and each(sha256, member)(value)


_FACTS = has(files=_listed, also={"left_out": each(text)})


class ConfigBackup(BackupKind):
    """The spec with what belongs to it. Files that the backup does not hold stay as they are."""

    name = config_archive.KIND
    title = msg("the configuration")
    by_name_only = True
    keeps_replaced = True
    is_configuration = True

    @override
    def sources(self, stack: Stack) -> Sequence[Source] | str:
        return [config_source(stack)]

    @override
    def fits(self, facts: Mapping[str, Any]) -> bool:
        return _FACTS(facts)

    @override
    def describe(self, part: Part) -> str:
        return msg("{count} files", count=len(part.facts["files"]))

    @override
    def warnings(self, part: Part) -> Sequence[str]:
        # Those that were meant to be in the archive: the user named them.
        left: Mapping[str, str] = part.facts.get("left_out", {})
        return [
            msg("{name} was left out: {why}", name=name, why=config_archive.LEFT_OUT.get(why, why))
            for name, why in left.items()
            if name.startswith(NAMED)
        ]

    @override
    def check(self, stack: Stack, part: Part, reader: PackedReader) -> list[str]:
        return config_archive.check(part, reader)

    @override
    def service(self, kind: str) -> str:
        return ""

    @override
    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        differing = len(list(changed(stack, part)))
        every = len(places(stack, part))
        return f"techsapo-ops {__version__}", (
            msg("{differing} of {every} files differ", differing=differing, every=every) if every else ""
        )

    @override
    def targets(self, stack: Stack, part: Part) -> Sequence[Target]:
        # Raises OpsError where a link is on the way to one.
        there = places(stack, part)
        differing, keys = set(changed(stack, part)), key_files(stack.layout, stack.spec)
        targets = []
        for name, place in there.items():
            if name not in differing:
                targets.append(Target(str(place.path), msg("the same")))
            elif place.look() is None:
                targets.append(Target(str(place.path), msg("new")))
            elif place.path in keys:
                why = msg(
                    "API keys created after the backup are kept; keys revoked or rotated after the backup "
                    "do not become valid again"
                )
                targets.append(Target(str(place.path), msg("merged"), why))
            else:
                targets.append(Target(str(place.path), msg("replaced")))
        targets += [
            Target(f"/{name.removeprefix(NAMED)}", msg("left"), msg("it is not under backup.paths"))
            for name in part.facts["files"]
            if name.startswith(NAMED) and name not in there
        ]
        targets += [Target(name, msg("left"), why) for name, why in left_templates(stack, part).items()]
        return tuple(sorted(targets, key=lambda target: target.path))

    @override
    def require(self, stack: Stack, part: Part, reader: PackedReader) -> None:
        # Raises OpsError for a spec that does not hold as it would come back, and where keys could not be
        # merged.
        layout = stack.layout
        there, keys = places(stack, part), key_files(layout, stack.spec)
        known_endings(layout, keys)
        for name, _, content in _contents(part, reader):
            if name == layout.spec_file.name:
                require_same_overrides(stack, part, stack.check_spec(_spec(stack, content)))
            elif name in there and there[name].path in keys:
                require_keys(_whole(content), there[name].path)

    @override
    def bring_back(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> None:
        # All of it is unpacked into a private folder and checked before a file is replaced.
        there = places(stack, part)
        with _unpacked(stack, part, reader, frozenset(changed(stack, part))) as files:
            spec = stack.layout.spec_file.name
            keys = _key_files(stack, next((file.path for file in files if file.name == spec), None))
            endings = known_endings(stack.layout, keys)
            _put_aside(stack, [there[file.name] for file in files])
            for file in files:
                place = there[file.name]
                facts = place.look()
                mode, owner = file.mode, None
                if facts is not None:
                    mode, owner = facts.st_mode, (facts.st_uid, facts.st_gid)
                elif place.path in keys:
                    owner = keys_owner(stack.topology)
                if place.path in keys:
                    put_keys(place, file.path.read_bytes(), endings, mode, owner)
                else:
                    with file.path.open("rb") as content:
                        place.put(content, mode, owner)
                progress(file.path.stat().st_size)
            for path in keys:  # the spec that came back may name one that lay here unused
                change_keys(path, lambda keys: ended(keys, endings))

    @override
    def differences(self, stack: Stack, part: Part) -> list[str]:
        # Keys are merged; what was written of them was read back then.
        keys, there = _key_files(stack), places(stack, part)
        differing = (name for name in changed(stack, part) if there[name].path not in keys)
        return [msg("{name} differs from the backup", name=name) for name in differing]

    @override
    def put_back(self, stack: Stack, kind: str) -> None:
        folder = _beside(stack)
        if (folder / _INDEX).exists():
            index, since = json.loads(read_text(folder / _INDEX)), int((folder / _INDEX).stat().st_mtime)
            keys = _key_files(stack)
            endings = known_endings(stack.layout, keys)
            for number, entry in enumerate(index):
                place, owner = NoFollowFile(Path(entry["path"])), entry["owner"]
                if entry["mode"] is None:
                    place.remove()
                elif place.path in keys:  # one may have been revoked meanwhile
                    copy = (folder / str(number)).read_bytes()
                    put_keys(place, copy, endings, entry["mode"], tuple(owner), since=since)
                else:
                    with (folder / str(number)).open("rb") as content:
                        place.put(content, entry["mode"], tuple(owner))
        self.forget(stack, kind)

    @override
    def forget(self, stack: Stack, kind: str) -> None:
        folder = _beside(stack)
        remove_file(folder / _INDEX)  # half a folder without it means nothing
        for each_folder in (folder, stack.layout.state / _UNPACKED):
            if each_folder.exists():
                shutil.rmtree(each_folder)


def _key_files(stack: Stack, spec_file: Path | None = None) -> tuple[Path, ...]:
    """The files of API keys by the spec of before, and by that in `spec_file` or in its place now."""
    specs = [stack.spec]
    with suppress(OpsError):  # half of a restore may have left none that holds
        text = read_text(spec_file or stack.layout.spec_file, what="spec")
        specs += [spec for spec in (stack.check_spec(text),) if spec is not None]
    return key_files(stack.layout, *specs)


def _put_aside(stack: Stack, places: Sequence[NoFollowFile]) -> None:
    """Copy what is there beside: as it is, secrets too, which a backup here does not hold."""
    folder = _beside(stack)
    remove_file(folder / _INDEX)
    if folder.exists():
        shutil.rmtree(folder)
    private_folder(folder, stack.layout.state)
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


def _beside(stack: Stack) -> Path:
    return stack.layout.state / _BESIDE


def _contents(part: Part, reader: PackedReader) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Name, mode and content of each file of the archive. Raises OpsError for one not in the manifest."""
    wanted: Mapping[str, str] = part.facts["files"]
    try:
        for entry, content in entries(Stream(reader), most=len(wanted)):
            if entry.folder or entry.name not in wanted:
                raise ArchiveError(msg("{entry} is not in the manifest", entry=repr(entry.name)))
            yield entry.name, entry.mode, content
    except ArchiveError as error:
        raise OpsError(
            msg(
                "{path}: this archive of the configuration can't be used: {error}",
                path=reader.path,
                error=error,
            ),
            msg("choose another backup"),
        ) from None


@contextmanager
def _unpacked(stack: Stack, part: Part, reader: PackedReader, names: frozenset[str]) -> Iterator[list[_File]]:
    """The files of these names in a private folder, gone after the block. The spec has its secrets filled in.

    The archive is read to its end first, whose digest is that of the manifest, or nothing is yielded.
    """
    state = stack.layout.state
    folder = state / _UNPACKED
    if folder.exists():  # of a run that was killed
        shutil.rmtree(folder)
    private_folder(folder, state)
    try:
        files: list[_File] = []
        for name, mode, content in _contents(part, reader):
            if name not in names:
                continue
            path = folder / str(len(files))
            try:
                with _new(path) as copy:
                    if name == stack.layout.spec_file.name:
                        copy.write(_spec(stack, content).encode())
                    else:
                        copy.writelines(content)
            except OSError as error:
                raise cannot_write(path, error) from None
            files.append(_File(name, path, mode))
        yield files
    finally:
        shutil.rmtree(folder)


def _whole(content: Iterator[bytes]) -> bytes:
    data = b""
    for piece in content:
        data += piece
        if len(data) > _LARGEST_SPEC:
            raise OpsError(
                msg("the spec, or a file of API keys, in the backup is too large"),
                msg("choose another backup"),
            )
    return data


def _spec(stack: Stack, content: Iterator[bytes]) -> str:
    """The spec as it would come back: with the secrets of the present one where they are masked."""
    path = stack.layout.spec_file
    try:
        text = _whole(content).decode()
    except UnicodeDecodeError:
        raise OpsError(
            msg("the spec in the backup is not UTF-8\nnothing was touched"), msg("choose another backup")
        ) from None
    return filled(text, read_text(path, what="spec") if path.exists() else "", path.name)


def _new(path: Path) -> IO[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")
