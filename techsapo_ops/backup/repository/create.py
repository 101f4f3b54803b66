"""Makes a backup: every source at once, the manifest last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from techsapo_ops.backup.repository.folder import Backup, Repository, stamp
from techsapo_ops.backup.repository.manifest import SAFETY_TAG, Manifest, shrinks
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.backup import Part, Source


class Watch:
    """Looks on while sources are taken, from several threads; this one looks away."""

    def progress(self, kind: str, count: int) -> None:
        """Of the source `kind`, `count` bytes are done."""

    def ended(self, part: Part) -> None:
        """A source is done."""


class _Cancelled(Exception):
    """Another source has failed."""


def create(
    repository: Repository,
    draft: Manifest,
    sources: Sequence[Source],
    now: Callable[[], datetime],
    watch: Watch | None = None,
) -> Backup:
    """Take all sources at once and return the finished backup; the caller holds the repository's lock.

    Sources that shrank are marked, but for what a restore puts aside, which may be any half of a stack. When
    one source fails, the others are stopped and nothing is kept. Raises OpsError naming the source.
    """
    started = now()
    name, partial, sequence = repository.begin(started)
    try:
        parts = _take(sources, partial, stamp(started), watch or Watch())
        shrunk = () if draft.tag == SAFETY_TAG else shrinks(parts, *repository.compared())
        manifest = replace(
            draft, id=name, sequence=sequence, started=started, ended=now(), parts=parts, shrunk=shrunk
        )
        return repository.commit(partial, manifest)
    except BaseException:
        repository.abandon(partial)
        raise


def _take(sources: Sequence[Source], folder: Path, stamp: str, watch: Watch) -> tuple[Part, ...]:
    cancelled = False

    def take(source: Source) -> Part:
        def progress(count: int) -> None:
            if cancelled:
                raise _Cancelled
            watch.progress(source.kind, count)

        part = source.take(folder, stamp, progress)
        watch.ended(part)
        return part

    with ThreadPoolExecutor(max(len(sources), 1), "backup") as pool:
        futures = {pool.submit(take, source): source for source in sources}
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            cancelled = True
    failed = [f for f in done if f.exception() is not None]
    for future in failed:
        error = future.exception()
        if isinstance(error, OpsError):
            raise OpsError(
                msg("{kind}: {message}", kind=futures[future].kind, message=error.message), error.hint
            ) from None
    for future in failed:
        if (error := future.exception()) is not None and not isinstance(error, _Cancelled):
            raise error
    return tuple(future.result() for future in futures)
