"""Renders a stack, lets the real tools judge it, and writes the files: all of them or none."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
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
from techsapo_ops.services.registry import kinds_in
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology
from techsapo_ops.validators.check import Staging, ValidationReport, check, require, tool_images

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
    changed = changes(files, stack.layout.config)
    report = validate(stack, files)
    require(report)
    return Generated(files, changed, report)


def validate(stack: Stack, files: Sequence[RenderedFile]) -> ValidationReport:
    """Let the real tools judge `files`, the rendering of this stack."""
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
    changed = changes(files, directory)
    edited = [change for change in changed if change.kind is ChangeKind.EDITED]
    if edited and not force:
        raise edited_error(edited, directory)
    manifest = read_manifest(directory)
    final = Manifest({file.path: Written((file.digest,), file.secret) for file in files})
    wanted = {file.path: file for file in files}
    if changed or manifest != final:
        _sweep(directory, [*wanted, *manifest.files])
    if not changed:
        if manifest != final:
            write_manifest(directory, final)
        return ()
    write = [wanted[change.path] for change in changed if change.path in wanted]
    remove = [directory / change.path for change in changed if change.path not in wanted]
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
            msg("cannot write in {directory}: {strerror}", directory=directory, strerror=error.strerror),
            write_hint(error),
        ) from None
    finally:
        for temporary, _ in partial:
            temporary.unlink(missing_ok=True)
    _remove_empty(directory, remove)
    write_manifest(directory, final)
    return changed


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


_PREFIX = "techsapo-check-"
_STALE_SECONDS = 3600
_UPSTREAM_HOST = re.compile(r"^(\s*server )[a-z0-9-]+(:\d+ weight=)", re.MULTILINE)
_CHECKED_WITH_SECRETS = ("/alertmanager.yml", "/sign-in.conf")
"""Configuration that holds secrets itself: a placeholder would be refused."""
_CONTAINER_CONFIG, _CONTAINER_SECRETS = "/etc/techsapo/", "/run/secrets/"


@contextmanager
def staged(topology: Topology, templates: Templates) -> Iterator[Staging]:
    """The stack rendered for a temporary folder, so that every path in its files exists there.

    The real folders are rebuilt below it name by name: whatever in them could break a file breaks the
    copy. Secrets are placeholders, but for a configuration that amtool reads, certificates are made for
    the moment, and the containers' paths lead into the folder too. It is private and removed at the end.
    """
    from techsapo_ops.certs.self_signed import ensure  # cryptography: 0.1 s that an idle `up` need not pay

    _sweep_copies(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        root = Path(name).resolve()
        real = topology.layout
        config, secrets = (f"{topology.places.container_files}{each}" for each in ("config/", "secrets/"))
        layout = replace(real, state=_moved(root, real.state), config=_moved(root, real.config))
        staged_topology = topology.relocated(layout)
        for made in _made_secrets(staged_topology, secrets):
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_text("placeholder", encoding="utf-8")
        for file in render_stack(staged_topology, templates):
            path = layout.config / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_content(file, root, config), encoding="utf-8")
        if topology.spec.served_certificate is not None:
            for certs in (layout.certs, layout.config / config / "certs"):
                ensure(certs / topology.spec.served_certificate, ["staging.invalid"], now=datetime.now(UTC))
        prefix = root / "prefix"
        for folder in (prefix, layout.logs / "pm2", layout.run):
            folder.mkdir(parents=True, exist_ok=True)
        # Short plain names: the containers' paths have these in their places.
        (root / "etc-techsapo").symlink_to(layout.config / config)
        (root / "run-secrets").symlink_to(layout.config / secrets)
        yield Staging(layout.config, prefix, str(root))


def _made_secrets(topology: Topology, secrets: str) -> Iterator[Path]:
    """Where processes and containers find the secrets that the tool makes: promtool wants the files."""
    for kind in kinds_in(topology):
        for name, path in kind.made_secrets(topology).items():
            yield path
            yield topology.layout.config / secrets / name


def _sweep_copies(parent: Path) -> None:
    """Remove what a killed run left an hour ago or more; nothing of another user."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):  # another run sweeps too
            facts = folder.lstat()
            mine = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
            if mine and time.time() - facts.st_mtime > _STALE_SECONDS:
                shutil.rmtree(folder)


def _moved(root: Path, folder: Path) -> Path:
    return root / "host" / folder.absolute().relative_to("/")


def _content(file: RenderedFile, root: Path, config: str) -> str:
    if file.secret and not file.path.endswith(_CHECKED_WITH_SECRETS):
        return "placeholder"
    if not file.path.startswith(config):
        return file.content
    text = file.content.replace(_CONTAINER_CONFIG, f"{root}/etc-techsapo/")
    text = text.replace(_CONTAINER_SECRETS, f"{root}/run-secrets/")
    # nginx resolves the names of its upstreams at once, and containers have none outside their network.
    return _UPSTREAM_HOST.sub(r"\g<1>127.0.0.1\g<2>", text) if file.path.endswith("nginx.conf") else text
