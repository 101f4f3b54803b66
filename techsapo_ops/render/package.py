"""This package as it is installed, for the images that hold it."""

from __future__ import annotations

from pathlib import Path

import techsapo_ops
from techsapo_ops.adapters.build import (
    LOCK,
    OTEL_LOCK,
    PACKAGED_LOCK,
    PACKAGED_OTEL_LOCK,
    TEMPLATES,
    code,
    content,
)
from techsapo_ops.stack.container import Package


def package(*, exact: bool) -> Package:
    """Where a build of an image finds this package; `exact` tells one edit of it from another."""
    inside = Path(techsapo_ops.__file__).parent
    folder = inside.parent
    packaged = inside / PACKAGED_LOCK
    locks = (inside, PACKAGED_LOCK, PACKAGED_OTEL_LOCK) if packaged.is_file() else (folder, LOCK, OTEL_LOCK)
    lock, otel_lock = ((locks[0] / name).relative_to(folder).as_posix() for name in locks[1:])
    return Package(
        source=folder,
        lock=lock,
        otel_lock=otel_lock,
        templates=not packaged.is_file() and (folder / TEMPLATES).is_dir(),
        build=code() if exact else techsapo_ops.__version__,
        digest=content().digest if exact else None,
    )
