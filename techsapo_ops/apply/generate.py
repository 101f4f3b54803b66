"""Renders a stack, lets the real tools judge it, and writes the files: all of them or none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.files import sync_directory
from techsapo_ops.adapters.folders import new_file, opened, write_hint
from techsapo_ops.adapters.written import (
    MANIFEST,
    Manifest,
    Written,
    digest,
    read_manifest,
    write_manifest,
)
from techsapo_ops.apply.changes import ChangeKind, FileChange, changes, edited_error, read_content
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.render.stack import DOCKER, render_stack
from techsapo_ops.services.registry import facts as services
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology
from techsapo_ops.validators.check import ValidationReport, check, require, tool_images

_PARTIAL = ".techsapo-partial-"
Owner = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Generated:
    """What a stack renders to, what differs on disk, and what the tools said."""

    files: tuple[RenderedFile, ...]
    changes: tuple[FileChange, ...]
    validation: ValidationReport

    @property
    def edited(self) -> tuple[FileChange, ...]:
        """The files that someone edited by hand."""
        return tuple(c for c in self.changes if c.kind is ChangeKind.EDITED)


def examine(stack: Stack) -> Generated:
    """Render and validate the stack and compare it with the disk; writes nothing.

    Raises OpsError where something can't be rendered or a tool refuses a file.
    """
    files = render_stack(stack.topology, stack.templates)
    found = changes(files, stack.layout.config)
    report = validate(stack, files)
    require(report)
    return Generated(files, found, report)


def validate(stack: Stack, files: Sequence[RenderedFile]) -> ValidationReport:
    """Let the real tools judge `files`, the rendering of this stack."""
    # cryptography: 0.1 s that an idle `up` need not pay
    from techsapo_ops.apply.staging import staged

    topology, runner = stack.topology, stack.runner
    images = tool_images(topology, runner)
    with staged(topology, stack.templates) as staging:
        report = check(files, staging, runner, topology.host.binaries, images)
    return _missed(topology, report)


def _missed(topology: Topology, report: ValidationReport) -> ValidationReport:
    """`report` without the tools that only files of the other engine would want."""
    own = topology.places.own_files
    wanted = tuple(m for m in report.missing if any(p.startswith(own) for p in m.unchecked))
    return replace(report, missing=wanted)


def write_files(
    files: Sequence[RenderedFile], topology: Topology, *, force: bool = False
) -> tuple[FileChange, ...]:
    """Bring `topology.layout.config` to `files` and return what changed.

    Everything is on disk under temporary names before the first file gets its own, so a full disk changes
    nothing; the renames follow one another at once. The manifest allows the old and the new content
    before the first rename and the new alone after the last: killed in between, the next call finds
    nothing that looks edited and finishes the work. Files get their owners where root runs this.

    Raises OpsError when files were edited by hand, unless `force`, and when something can't be written.
    """
    directory = topology.layout.config
    found = changes(files, directory)
    edited = [change for change in found if change.kind is ChangeKind.EDITED]
    if edited and not force:
        raise edited_error(edited, directory)
    manifest = read_manifest(directory)
    final = Manifest({file.path: Written((file.digest,), file.secret) for file in files})
    wanted = {file.path: file for file in files}
    if found or manifest != final:
        _sweep(directory, [*wanted, *manifest.files])
    if not found:
        if manifest != final:
            write_manifest(directory, final)
        return ()
    write = [wanted[change.path] for change in found if change.path in wanted]
    remove = [directory / change.path for change in found if change.path not in wanted]
    partial: list[tuple[Path, Path]] = []
    try:
        for file in write:
            partial.append(_write_partial(directory, file, _owner(file, topology)))  # noqa: PERF401 - see except
        write_manifest(directory, _both(directory, manifest, final, remove))
        for temporary, path in partial:
            with opened(path.parent):  # it is no link, and only root can make it one
                os.replace(temporary, path)  # noqa: PTH105 - the plain system call
        for path in remove:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in [*(p for _, p in partial), *remove]}:
            sync_directory(folder)
    except OSError as error:
        raise OpsError(
            msg("cannot write below {directory}: {strerror}", directory=directory, strerror=error.strerror),
            write_hint(error),
        ) from None
    finally:
        for temporary, _ in partial:
            temporary.unlink(missing_ok=True)
    _remove_empty(directory, remove)
    write_manifest(directory, final)
    return found


def _both(directory: Path, manifest: Manifest, final: Manifest, remove: Sequence[Path]) -> Manifest:
    """The manifest that holds while files are replaced: whatever is there now, or the new content."""
    files: dict[str, Written] = {}
    for path in {*manifest.files, *final.files, *(p.relative_to(directory).as_posix() for p in remove)}:
        known = [m.files[path] for m in (manifest, final) if path in m.files]
        content = read_content(directory / path)
        now = (digest(content),) if content is not None else ()
        digests = dict.fromkeys((*now, *(d for written in known for d in written.digests)))
        files[path] = Written(tuple(digests), any(written.secret for written in known))
    return Manifest(files)


def _write_partial(directory: Path, file: RenderedFile, owner: Owner | None) -> tuple[Path, Path]:
    path = directory / file.path
    _make_folders(directory, path.parent)
    name = f"{_PARTIAL}{os.urandom(4).hex()}"
    with opened(path.parent) as folder, new_file(folder, name, file.mode, owner) as target:
        target.write(file.content.encode())
    return path.with_name(name), path


def _make_folders(directory: Path, folder: Path) -> None:
    """Folders that services can pass through, whatever the umask; names of secrets are not listed."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    for path in reversed(missing):
        private = path.name == "secrets" and path.is_relative_to(directory)
        with opened(path, make=0o711 if private else 0o755) as descriptor:
            os.fchmod(descriptor, 0o711 if private else 0o755)


def _owner(file: RenderedFile, topology: Topology) -> Owner | None:
    if file.owner is None or not topology.host.root:
        return None
    if file.path.startswith(DOCKER):
        uid = services()[file.owner].uid
        return uid, uid
    users = {service.kind: service.user for service in topology.services}
    return owners.ids(users.get(file.owner))


def _sweep(directory: Path, paths: Sequence[str]) -> None:
    """Remove what a killed run left under temporary names."""
    leftovers = [*directory.glob(f".{MANIFEST}.*")]
    for folder in {(directory / path).parent for path in paths}:
        leftovers += folder.glob(f"{_PARTIAL}*")
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)


def _remove_empty(directory: Path, removed: Sequence[Path]) -> None:
    for path in removed:
        for folder in path.parents:
            if folder == directory or not folder.is_relative_to(directory):
                break
            with suppress(OSError):  # it is not empty, so it stays
                folder.rmdir()
