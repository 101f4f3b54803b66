"""Makes a backup as a person, a job or a restore asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from techsapo_ops.apply.administration import chain_of
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.offsite import NOT_ASKED_FOR, copy_away
from techsapo_ops.backup.repository.create import Watch, create
from techsapo_ops.backup.repository.folder import Backup, Repository, repository_of
from techsapo_ops.backup.repository.manifest import SAFETY_TAG, Manifest
from techsapo_ops.backup.repository.origin import MAC
from techsapo_ops.backup.repository.restic import restic_of
from techsapo_ops.backup.telling import noted, shared
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.backup import Source
from techsapo_ops.stack.journal import Operation, require_ended
from techsapo_ops.stack.stack import Stack


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a stack is backed up, and by kind why the rest is not."""

    sources: tuple[Source, ...]
    left_out: dict[str, str]


def select(stack: Stack, only: Sequence[str] = ()) -> Selection:
    """What a backup of the stack, or of the kinds in `only`, is made of; none of it is read yet.

    Raises OpsError for a kind that there is not at all, or one that is asked for and can't be had.
    """
    known = registry.names()
    for name in only:
        if name not in known:
            raise unknown(msg("source"), name, known)
    sources: list[Source] = []
    left_out: dict[str, str] = {}
    for kind in registry.kinds():
        if only and kind.name not in only:
            left_out[kind.name] = NOT_ASKED_FOR
            continue
        available = kind.sources(stack)
        if kind.too_secret and not isinstance(available, str):
            wanting = msg(": set backup.offsite") if stack.spec.backup.offsite is None else ""
            available = msg(
                "{too_secret}, so it is stored off-site only, encrypted{wanting}",
                too_secret=kind.too_secret,
                wanting=wanting,
            )
        if not isinstance(available, str):
            sources += available
        elif kind.name in only:
            raise OpsError(
                msg("{kind} can't be backed up: {found}", kind=kind.name, found=available),
                msg("remove the source from --only"),
            )
        else:
            left_out[kind.name] = available
    return Selection(tuple(sources), left_out)


@dataclass(frozen=True, slots=True)
class Created:
    """A new backup and what was noticed while it was made. `away` is the id of its snapshot off-site; empty
    where the spec names no second place.
    """

    backup: Backup
    warnings: tuple[str, ...] = ()
    away: str = ""


def create_backup(
    stack: Stack,
    *,
    only: Sequence[str] = (),
    tag: str = "",
    wait: float = 0.0,
    now: Callable[[], datetime] = _now,
    watch: Watch | None = None,
) -> Created:
    """Back up the stack, or the kinds in `only`, and copy that off-site where the spec says where.

    Raises OpsError; then nothing is kept, but for a backup that is whole here and not off-site.
    """
    require_ended(stack.layout, Operation.RESTORE, Operation.RECOVERY)  # a backup of now would hold half
    selection, away = select(stack, only), restic_of(stack)
    repository = repository_of(stack)
    with repository.lock(wait):
        warnings: list[str] = []  # twice the same, where it was done twice
        unheard = shared(stack, lambda: warnings.extend(_prepare(stack, repository, now())), wait)
        backup = _take(stack, selection, tag, now, watch)
        unheard = shared(stack, lambda: noted(stack, repository), wait) or unheard
        copied = copy_away(stack, away, backup) if away is not None else ""
    warnings += [str(shrink) for shrink in backup.read().shrunk]
    for part in backup.read().parts:
        warnings += [f"{part.kind}: {warning}" for warning in registry.of(part).warnings(part)]
    if unheard:
        warnings.append(unheard)
    return Created(backup, tuple(dict.fromkeys(warnings)), copied)


def put_aside(stack: Stack, kinds: Sequence[str], wait: float = 0.0) -> Backup:
    """Back up what a restore of `kinds` is about to replace. Raises OpsError; then nothing is kept.

    What may lie off-site alone is put aside there, with a backup of the configuration. The rest stays here:
    it is needed for minutes.
    """
    require_ended(stack.layout, Operation.RESTORE)
    secret = {kind.name for kind in registry.kinds() if kind.too_secret}
    carrier = [kind.name for kind in registry.kinds() if kind.is_configuration]
    here = [each for kind in kinds for each in (carrier if kind in secret else [kind])]
    selection = select(stack, tuple(dict.fromkeys(here)))
    away = restic_of(stack) if secret.intersection(kinds) else None
    repository = repository_of(stack)
    with repository.lock(wait):
        _prepare(stack, repository, _now())
        backup = _take(stack, selection, SAFETY_TAG, _now, None)
        noted(stack, repository)
        if away is not None:
            copy_away(stack, away, backup)
    return backup


def _take(
    stack: Stack, selection: Selection, tag: str, now: Callable[[], datetime], watch: Watch | None
) -> Backup:
    repository = repository_of(stack)
    draft = replace(
        Manifest.draft(stack.spec.project, stack.topology.engine, tag, selection.left_out),
        administration=chain_of(stack.layout).read().head,
    )
    return create(repository, draft, selection.sources, now, watch)


def _prepare(stack: Stack, repository: Repository, now: datetime) -> list[str]:
    """Remove what killed backups left, and make the key where it is missing; returns warnings."""
    for kind in registry.kinds():
        kind.tidy(stack)
    warnings = []
    if repository.make_key() and (lost := lost_key(repository)):
        warnings.append(lost)
    before = [b.read().started for b in repository.ours()]
    if before and max(before) > now:
        warnings.append(
            msg(
                "the newest backup is from {before:%Y-%m-%d %H:%M:%S} UTC, which is in the "
                "future: was the clock set back? Backups stay in the order in which they "
                "were made",
                before=max(before),
            )
        )
    return warnings


def lost_key(repository: Repository) -> str:
    """A warning where backups have a MAC although the key was made just now; else empty."""
    others = [backup.id for backup in repository.backups() if (backup.folder / MAC).exists()]
    if not others:
        return ""
    return msg(
        "{count} backups, the newest {others}, were authenticated with a key that is missing on this host; "
        'new backups use a new key. Get the old key back from off-site: docs/backup.md, "Whose backup it is"',
        count=len(others),
        others=others[-1],
    )
