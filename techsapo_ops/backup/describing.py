"""What goes off-site with a backup: paths of the stack, the description, and the version of then at hand."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from techsapo_ops import __version__
from techsapo_ops.adapters.build import LOCK, OTEL_LOCK, content
from techsapo_ops.adapters.files import private_folder, read_by_all, read_text, write_atomic
from techsapo_ops.adapters.packed import cannot_write
from techsapo_ops.adapters.wheel import NAME, write_wheel
from techsapo_ops.apply.ledger import Ledger
from techsapo_ops.backup.repository.description import NOT_TAKEN, CopiedPath, Description, What
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.render.compose import package
from techsapo_ops.spec.fields import key_of
from techsapo_ops.spec.redact import secrets_of
from techsapo_ops.spec.variables import parse_dotenv
from techsapo_ops.stack.layout import Layout

if TYPE_CHECKING:
    from techsapo_ops.backup.repository.folder import Backup
    from techsapo_ops.stack.stack import Stack


_OTHER_FILES = frozenset({"calibration"})
"""Fields that name a file to read, and do not end with `_file`."""
_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)")


def paths_to_copy(stack: Stack, backup: Backup) -> tuple[CopiedPath, ...]:
    """Every path of the stack that goes off-site with `backup` and is there. Raises OpsError."""
    layout = stack.layout
    candidates = [
        copied_path(backup.folder, What.BACKUP, "backup.path", stack.spec.backup.path or ""),
        copied_path(layout.spec_file, What.SPEC),
        copied_path(stack.directory / ".env", What.VARIABLES),
        copied_path(layout.keys, What.KEYS),
        copied_path(layout.backup_keys, What.BACKUP_KEYS),
        copied_path(layout.certs, What.CERTIFICATES),
        copied_path(layout.acme, What.ACME),
        copied_path(layout.api_keys.parent, What.API_KEYS),
        copied_path(layout.administration, What.ADMINISTRATION),
        *_templates(stack),
    ]
    for field, named, what in named_files(stack):
        candidates.append(copied_path(stack.directory / Path(named).expanduser(), what, field, named))
    for named in stack.spec.backup.paths:
        path = stack.directory / Path(named).expanduser()
        if _holds_state(stack, path):
            continue
        candidates.append(copied_path(path, What.CONFIG_PATH, "backup.paths", named))
    seen: set[tuple[str, str]] = set()
    items = []
    for each in candidates:
        if each is not None and (each.path, each.field) not in seen:
            seen.add((each.path, each.field))
            items.append(each)
    return tuple(items)


def describe(stack: Stack, backup: Backup, paths: tuple[CopiedPath, ...]) -> Description:
    """The stack that `backup` is of, with the `paths` that are copied with it. Raises OpsError."""
    manifest, spec, layout = backup.read(), stack.spec, stack.layout
    applied = Ledger(layout.state).current()
    return Description(
        backup=backup.id,
        project=spec.project,
        taken=datetime.now(UTC),
        tool=__version__,
        engine=stack.topology.engine,
        environment=applied.environment if applied is not None else layout.environment,
        host=socket.gethostname(),
        user=_user(),
        directory=str(stack.directory),
        spec=layout.spec_file.name,
        state=str(layout.state),
        tracing=spec.app.tracing is not None,
        paths=paths,
        variables=variables(stack),
        left={**NOT_TAKEN, **manifest.left_out, **_beyond(stack)},
    )


def named_files(stack: Stack) -> Iterator[tuple[str, str, What]]:
    """Field, name as written and kind of every file to read that the spec names."""
    secrets = {
        f"{path}_file": secret.file
        for path, secret in secrets_of(stack.spec).items()
        if secret.file is not None
    }
    yield from ((field, named, What.SECRET) for field, named in secrets.items())
    yield from ((field, named, What.FILE) for field, named in _files(stack.spec, "") if field not in secrets)


def _files(node: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, BaseModel):
        for name, info in type(node).model_fields.items():
            key, value = key_of(name, info), getattr(node, name)
            where = f"{path}.{key}" if path else key
            if isinstance(value, str):
                if key.endswith("_file") or key in _OTHER_FILES:
                    yield where, value
            else:
                yield from _files(value, where)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _files(value, f"{path}.{key}")
    elif isinstance(node, tuple):
        for number, value in enumerate(node):
            yield from _files(value, f"{path}.{number}")


def _templates(stack: Stack) -> Iterator[CopiedPath | None]:
    named = stack.spec.template_overrides or ""
    overrides = stack.overrides
    if overrides.obstacle is None:
        yield copied_path(overrides.folder, What.TEMPLATES, "template_overrides" if named else "", named)


def copied_path(path: Path, what: What, field: str = "", named: str = "") -> CopiedPath | None:
    """What is at `path`; None for nothing, and for what is no file or folder."""
    try:
        content = path.resolve(strict=True)
        facts = content.stat()
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError) as error:
        raise OpsError(
            msg("cannot read {path}: {error}", path=path, error=error),
            msg("run this command as a user who can read it"),
        ) from None
    folder = stat.S_ISDIR(facts.st_mode)
    if not folder and not stat.S_ISREG(facts.st_mode):
        return None
    mode = stat.S_IMODE(facts.st_mode)
    if not folder and read_by_all(content) is None:
        mode &= ~0o007  # a folder keeps others out here: elsewhere it may lie in one that does not
    return CopiedPath(
        os.path.normpath(path), str(content), what, folder, mode,
        field if named else "", named,
    )  # fmt: skip


def variables(stack: Stack) -> tuple[str, ...]:
    """Names of the variables of the spec that are set in this environment and not in `.env`."""
    file, dotenv = stack.layout.spec_file, stack.directory / ".env"
    used = set(_VARIABLE.findall(read_text(file, what="spec"))) if file.is_file() else set()
    if dotenv.is_file():
        used -= set(parse_dotenv(read_text(dotenv), filename=str(dotenv)))
    return tuple(sorted(name for name in used if name in os.environ))


def _beyond(stack: Stack) -> Mapping[str, str]:
    """What of this stack lies where no copy reaches, and why."""
    excluded = {}
    if (offsite := stack.spec.backup.offsite) is not None and offsite.options:
        excluded[msg("files that backup.offsite.options names")] = msg(
            "they give access to the repository: keep them elsewhere"
        )
    return excluded


def _holds_state(stack: Stack, path: Path) -> bool:
    """Whether a folder of `backup.paths` has the state directory in it, with databases that run."""
    return stack.layout.state.resolve().is_relative_to(path.resolve())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


FOLDER = "recovery-kit"
_PARTIAL = ".partial"


def kit(layout: Layout) -> Path:
    """The folder with the wheel of this package and its locks, made where there is none of this very content.

    That of another version goes. Raises OpsError where it can't be written.
    """
    top = layout.state / FOLDER
    folder = top / content().digest[:16]
    if (folder / NAME).is_file():
        return folder
    beside = top / f"{folder.name}{_PARTIAL}"
    try:
        if top.is_dir():
            shutil.rmtree(top)
        private_folder(beside, layout.state)
        write_wheel(beside)
        own = package(exact=True)
        for name, source in ((LOCK, own.lock), (OTEL_LOCK, own.otel_lock)):
            write_atomic(beside / Path(name).name, (own.source / source).read_bytes(), 0o600)
        os.rename(beside, folder)  # noqa: PTH104 - fails on a folder that is there, as it must
    except OSError as error:
        raise cannot_write(folder, error) from None
    return folder


def install_commands(folder: str, *, tracing: bool) -> tuple[str, ...]:
    """What installs the version in the kit at `folder` into the virtual environment that is active."""
    lock = Path(OTEL_LOCK if tracing else LOCK).name
    return (
        msg("pip install --no-deps --require-hashes -r {folder}/{lock}", folder=folder, lock=lock),
        msg("pip install --no-deps {folder}/techsapo_ops-*.whl", folder=folder),
    )
