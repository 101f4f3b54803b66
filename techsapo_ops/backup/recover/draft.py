"""Which copy a recovery takes, and its spec with what has to be another on this host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import yaml

from techsapo_ops.adapters.files import read_text
from techsapo_ops.backup.recover.journal import Asked
from techsapo_ops.backup.recover.placing import Places
from techsapo_ops.backup.repository.description import What
from techsapo_ops.backup.repository.restic import AwaySnapshot, Restic
from techsapo_ops.backup.restore.copied import Copied
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec import NO_ENVIRONMENT
from techsapo_ops.spec.edit import repointed, with_value, without_section
from techsapo_ops.stores.key_endings import Endings


@dataclass(frozen=True, slots=True)
class Choice:
    """The copy, and those after it that were passed over because they hold a part alone."""

    snapshot: AwaySnapshot
    parts: tuple[AwaySnapshot, ...] = ()
    newest: AwaySnapshot | None = None
    """The newest copy of all, where another one was chosen."""
    later: Endings = field(default_factory=dict)
    """Which API keys that one knows as revoked."""


def readable(restic: Restic, warn: Callable[[str], None]) -> tuple[AwaySnapshot, ...]:
    """The copies in the repository, oldest first; `warn` gets those that can't be read.

    Raises OpsError where that is all of them.
    """
    lost: list[str] = []
    known = restic.snapshots(damaged=lost.extend)
    some = ", ".join(lost[:4])
    if lost and not known:
        raise OpsError(
            msg("the repository is incomplete: no copy in it can be read ({some})", some=some),
            msg(
                "restic's manual shows how to repair a repository; if you copy to another repository "
                "too, try that one"
            ),
        )
    if lost:
        warn(
            msg(
                "{count} of the repository's copies can't be read ({some}): the newest copy may be among "
                "them",
                count=len(lost),
                some=some,
            )
        )
    return known


def chosen(snapshots: Sequence[AwaySnapshot], id_: str, at: datetime | None) -> Choice:
    """What `choose` has chosen, by its id, with the parts after it. Raises OpsError where it is gone."""
    snapshot = next((each for each in snapshots if each.id == id_), None)
    if snapshot is None:
        raise OpsError(
            msg("the copy {id} is no longer in the repository", id=id_[:8]),
            msg("run `techsapo recover --abandon`, then start again"),
        )
    later = [each for each in snapshots if each.time > snapshot.time and (at is None or each.time <= at)]
    mine = [each for each in snapshots if each.project == snapshot.project]
    return Choice(
        snapshot,
        tuple(e for e in later if not e.whole and e.project == snapshot.project),
        mine[-1] if mine[-1] is not snapshot else None,
    )


_OF_ITS_HOSTS = ("hosts", "floating_address")
"""What the spec of a stack on several hosts says of them: on one host it would be refused."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The spec as it would be placed: its text, and where what it names is now."""

    text: str
    file: Path
    environment: str | None
    dotenv: Path | None
    files: Mapping[str, Path]
    """The file by the name that the spec has for it, for those that are not in their place yet."""


def draft_of(copied: Copied, places: Places, asked: Asked, into: Path) -> Draft:
    """The spec of the copy with what has to be another here. Raises OpsError for a wrong setting."""
    description = copied.description
    (item,) = description.of(What.SPEC)
    text = read_text(copied.at(item.content), what=msg("spec of the copy"))
    environment = asked.environment or description.environment
    if environment == NO_ENVIRONMENT:
        environment = None
    text = repointed(text, places.repointed)
    if asked.engine is not None:  # else the next `up` would move the stack back
        text = with_value(text, "engine", asked.engine, environment=environment)
        before, now = description.engine, asked.engine
        if before != now:
            for key in _OF_ITS_HOSTS:
                text = without_section(text, key)
    for path, value in values_of(asked.settings):
        text = with_value(text, path, value, environment=environment)
    files = {}
    dotenv = None
    for each in places.placements:
        if each.item.what == What.VARIABLES:
            dotenv = each.source
        for name in (each.item.named, places.repointed.get(each.item.named, "")):
            if name:
                files[name] = each.source
    return Draft(text, into / description.spec, environment, dotenv, files)


def values_of(settings: Sequence[str]) -> list[tuple[str, object]]:
    """Place in the spec and value of each `PATH=VALUE`. Raises OpsError for what is none."""
    values = []
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals or not path:
            raise OpsError(
                msg("--set {setting}: there is no `=`", setting=setting),
                msg("write e.g. --set app.port=4100"),
                exit_code=2,
            )
        try:
            values.append((path, read_yaml(value)))
        except yaml.YAMLError:
            raise OpsError(
                msg("--set {setting}: the value is not YAML", setting=setting),
                msg("put the value of --set in quotes"),
                exit_code=2,
            ) from None
    return values
