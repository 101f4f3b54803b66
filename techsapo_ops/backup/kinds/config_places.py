"""Where each file of the configuration is on this host, and by which name it is in an archive."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.nofollow import NoFollowFile
from techsapo_ops.backup.kinds.config_archive import ConfigSource
from techsapo_ops.backup.kinds.secret_files import secret_paths, secret_values
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.backup import Part
from techsapo_ops.stack.layout import OVERRIDES
from techsapo_ops.stack.template_folders import overrides_folder

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.stack import Stack

NAMED = "paths/"
"""Before the name of what `backup.paths` has named."""


def config_source(stack: Stack) -> ConfigSource:
    """The configuration of the stack."""
    layout = stack.layout
    spec_file = layout.spec_file
    overrides = stack.overrides
    own = {
        spec_file.name: spec_file,
        **({OVERRIDES: overrides.folder} if overrides.obstacle is None else {}),
        "generated": layout.config,
        "certs": layout.certs,
        "api-keys": layout.api_keys.parent,
    }
    trees = {name: path for name, path in own.items() if path.exists()}
    trees |= _named(stack)
    secret = secret_paths(stack)
    return ConfigSource(
        trees,
        secret_values(stack),
        frozenset({*secret, *(path.resolve() for path in secret)}),
        frozenset({spec_file, spec_file.resolve()}),
    )


def _named(stack: Stack) -> Mapping[str, Path]:
    """What `backup.paths` names, by the name that it has in the archive."""
    paths = [stack.directory / Path(each).expanduser() for each in stack.spec.backup.paths]
    return {f"{NAMED}{path.resolve().as_posix().strip('/')}".rstrip("/"): path for path in paths}


def keys_name(stack: Stack) -> str:
    """Name of the file of API keys in the archive."""
    return f"api-keys/{stack.layout.api_keys.name}"


def places(stack: Stack, part: Part) -> Mapping[str, NoFollowFile]:
    """Where each file of the archive belongs that is put back, by its name there.

    Only what the stack of today names: the archive's names choose among these, and below them. Generated
    files are made by `up`, out of the spec that came back and with the secrets that a backup does not hold;
    certificates without their keys are of no use.
    """
    layout = stack.layout
    state = layout.state.resolve()
    overrides = stack.overrides
    left = left_templates(stack, part)
    tops = {
        layout.spec_file.name: layout.spec_file.resolve(),
        keys_name(stack): state / layout.api_keys.relative_to(layout.state),
        OVERRIDES: Path(os.path.realpath(overrides.folder)),
        **{name: path.resolve() for name, path in _named(stack).items()},
    }
    files = frozenset({layout.spec_file.name, keys_name(stack)})
    found = {}
    for name in part.facts["files"]:
        parts = name.split("/")
        for count in range(len(parts), 0, -1):
            top = "/".join(parts[:count])
            if top in tops and not (top in files and count < len(parts)) and name not in left:
                found[name] = NoFollowFile(tops[top].joinpath(*parts[count:]))
                break
    return found


def left_templates(stack: Stack, part: Part) -> Mapping[str, str]:
    """Which of the archive's templates, by their names there, are not put back, and why."""
    overrides = stack.overrides
    if (obstacle := overrides.obstacle) is None or overrides.receives:
        return {}
    theirs = (name for name in part.facts["files"] if name.startswith(f"{OVERRIDES}/"))
    return dict.fromkeys(theirs, obstacle.message)


def require_same_overrides(stack: Stack, part: Part, spec: Spec | None) -> None:
    """Raise OpsError where the spec that comes back looks for templates elsewhere than they come back to."""
    if spec is None:
        return
    there = overrides_folder(stack.directory, spec.template_overrides)
    here = stack.overrides.folder
    if there != here and any(
        place.path.is_relative_to(here.resolve()) for place in places(stack, part).values()
    ):
        value = spec.template_overrides
        change = (
            msg("write `template_overrides: {value}` into", value=value)
            if value is not None
            else msg("remove template_overrides from")
        )
        raise OpsError(
            msg(
                "the spec in the backup has its templates in {there}, the present one in {here}\n"
                "nothing was touched",
                there=there,
                here=here,
            ),
            msg("{change} the present spec, and restore then", change=change),
        )


def changed(stack: Stack, part: Part) -> Iterator[str]:
    """Names of the files that are not as they were when they were backed up, secrets masked as then."""
    source = config_source(stack)
    wanted: Mapping[str, str] = part.facts["files"]
    for name, place in places(stack, part).items():
        if place.look() is None or source.digest(place.path) != wanted[name]:
            yield name
