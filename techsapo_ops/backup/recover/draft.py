"""The spec of a copy with what has to be another on this host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from techsapo_ops.adapters.files import read_text
from techsapo_ops.backup.recover.journal import Asked
from techsapo_ops.backup.recover.placing import Places
from techsapo_ops.backup.repository.description import What
from techsapo_ops.backup.restore.copied import Copied
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec import NO_ENVIRONMENT
from techsapo_ops.spec.edit import repointed, with_value, without_section

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
    (kept,) = description.of(What.SPEC)
    text = read_text(copied.at(kept.content), what=msg("spec of the copy"))
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
        if each.kept.what == What.VARIABLES:
            dotenv = each.source
        for name in (each.kept.named, places.repointed.get(each.kept.named, "")):
            if name:
                files[name] = each.source
    return Draft(text, into / description.spec, environment, dotenv, files)


def values_of(settings: Sequence[str]) -> list[tuple[str, object]]:
    """Place in the spec and value of each `PATH=VALUE`. Raises OpsError for what is none."""
    found = []
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals or not path:
            raise OpsError(
                msg("--set {setting}: there is no `=`", setting=setting),
                msg("write e.g. --set app.port=4100"),
                exit_code=2,
            )
        try:
            found.append((path, read_yaml(value)))
        except yaml.YAMLError:
            raise OpsError(
                msg("--set {setting}: the value is no YAML", setting=setting),
                msg("put it in quotes"),
                exit_code=2,
            ) from None
    return found
