"""Makes a backup: every source at once, the manifest last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime

from techsapo_ops import __version__
from techsapo_ops.backup.manifest import Manifest, Part
from techsapo_ops.backup.repository import Backup, Repository, stamp
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.backup import Source

Told = Callable[[str, int], None]
"""Told of a source's kind and how many of its bytes are done."""


class _Cancelled(Exception):
    """Another source has failed."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a new backup is of, and what it is called."""

    sources: Sequence[Source]
    project: str
    engine: str
    tag: str = ""
    left_out: Mapping[str, str] | None = None


def create(
    repository: Repository,
    order: Order,
    now: Callable[[], datetime],
    told: Told = lambda _kind, _bytes: None,
    ended: Callable[[Part], None] = lambda _: None,
) -> Backup:
    """Take all sources at once and return the finished backup; the caller holds the repository's lock.

    When one source fails, the others are stopped and nothing is kept. Raises OpsError naming the source.
    """
    started = now()
    name, partial, sequence = repository.begin(started)
    cancelled = False

    def take(source: Source) -> Part:
        def progress(count: int) -> None:
            if cancelled:
                raise _Cancelled
            told(source.kind, count)

        part = source.take(partial, stamp(started), progress)
        ended(part)
        return part

    try:
        with ThreadPoolExecutor(max(len(order.sources), 1), "backup") as pool:
            futures = {pool.submit(take, source): source for source in order.sources}
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                cancelled = True
        failed = [f for f in done if f.exception() is not None]
        for future in failed:
            error = future.exception()
            if isinstance(error, OpsError):
                raise OpsError(f"{futures[future].kind}: {error.message}", error.hint) from None
        for future in failed:
            if (error := future.exception()) is not None and not isinstance(error, _Cancelled):
                raise error
        parts = tuple(future.result() for future in futures)
        manifest = Manifest(
            name, sequence, order.project, order.engine, __version__, started, now(), parts,
            order.tag, order.left_out or {},
        )  # fmt: skip
        return repository.commit(partial, manifest)
    except BaseException:
        repository.abandon(partial)
        raise
