"""The version of then at hand: this package as a wheel, with the locks of what it needs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from techsapo_ops.adapters.build import LOCK, OTEL_LOCK, content
from techsapo_ops.adapters.files import private_folder, write_atomic
from techsapo_ops.adapters.packed import cannot_write
from techsapo_ops.adapters.wheel import NAME, write_wheel
from techsapo_ops.messages import msg
from techsapo_ops.render.compose import package
from techsapo_ops.stack.layout import Layout

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
        found = package(exact=True)
        for name, source in ((LOCK, found.lock), (OTEL_LOCK, found.otel_lock)):
            write_atomic(beside / name, (found.source / source).read_bytes(), 0o600)
        os.rename(beside, folder)  # noqa: PTH104 - fails on a folder that is there, as it must
    except OSError as error:
        raise cannot_write(folder, error) from None
    return folder


def install_commands(folder: str, *, tracing: bool) -> tuple[str, ...]:
    """What installs the version in the kit at `folder` into the virtual environment that is active."""
    lock = OTEL_LOCK if tracing else LOCK
    return (
        msg("pip install --no-deps --require-hashes -r {folder}/{lock}", folder=folder, lock=lock),
        msg("pip install --no-deps {folder}/techsapo_ops-*.whl", folder=folder),
    )
