"""Where a stack's secrets lie, none of which goes into the folder of the backups; and how they come back."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from techsapo_ops.adapters.chain import Chain
from techsapo_ops.adapters.files import read_text
from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.nofollow import NoFollowFile
from techsapo_ops.adapters.written import read_manifest
from techsapo_ops.catalogue.yaml_text import read_nodes
from techsapo_ops.errors import OpsError
from techsapo_ops.masking import MASK
from techsapo_ops.messages import msg
from techsapo_ops.services.app.rendered_spec import keys_file
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stores.key_endings import Endings, ended, endings_of, merged, recorded_endings, sooner
from techsapo_ops.stores.keys import ApiKey, keys_in, text_of

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.stack import Stack


def secret_values(stack: Stack) -> tuple[bytes, ...]:
    """Every secret of the spec, also in fields that are not for secrets, and every one that the tool made."""
    from techsapo_ops.spec.redact import open_secrets, secrets_of
    from techsapo_ops.spec.source import parse

    values = [secret.reveal().encode() for secret in secrets_of(stack.spec).values()]
    file = stack.layout.spec_file
    written = parse(read_text(file, what="spec"), file.name).data if file.exists() else {}
    values += [value.encode() for value in sorted(open_secrets(stack.spec, written))]
    values += made_secrets(stack.layout.keys)
    return tuple(dict.fromkeys(value for value in values if value))


def made_secrets(keys: Path) -> list[bytes]:
    """The passwords that the tool made itself, in the folder `keys`."""
    if not keys.is_dir():
        return []
    return [p.read_bytes().strip() for p in keys.iterdir() if p.name.endswith("-password")]


def secret_paths(stack: Stack) -> list[Path]:
    """Files and folders that hold nothing but secrets, or are known to hold one."""
    from techsapo_ops.spec.redact import secrets_of

    layout = stack.layout
    paths = [stack.directory / ".env", layout.keys, layout.secrets, layout.config / "docker" / "secrets"]
    paths += [layout.acme]  # the keys of the accounts at CAs
    paths += [layout.backup_keys]
    paths += [
        stack.directory / Path(secret.file).expanduser()
        for secret in secrets_of(stack.spec).values()
        if secret.file is not None
    ]
    paths += [
        layout.config / path for path, written in read_manifest(layout.config).files.items() if written.secret
    ]
    if layout.certs.is_dir():
        paths += layout.certs.rglob("privkey.pem")
    return [path for path in dict.fromkeys(paths) if path.exists()]


_LOCK_SECONDS = 5


def key_files(layout: Layout, *specs: Spec) -> tuple[Path, ...]:
    """Every file of API keys that the stack may use by one of `specs`, without links on the way.

    That of the last one is the last.
    """
    # In the place of the stack's own a link is refused, as any other; what a spec names may be one.
    own = layout.api_keys.parent.resolve() / layout.api_keys.name
    named = (keys_file(spec, layout) for spec in specs)
    files = [own, *(own if path == layout.api_keys else path.resolve() for path in named)]
    return tuple(reversed(dict.fromkeys(reversed(files))))


@contextmanager
def alone_with_keys(path: Path) -> Iterator[None]:
    """Be the only techsapo at work on the file of keys `path`. Raises OpsError after some seconds."""
    with opened(path.parent, make=0o755):
        pass
    with exclusive(path.with_suffix(".lock"), wait=_LOCK_SECONDS, waits=False):
        yield


def known_endings(layout: Layout, files: Iterable[Path]) -> Endings:
    """What the record of administration and the files of keys say. Raises OpsError for a record that can't be
    read; a file that can't says nothing, and opens nothing.
    """
    recorded = recorded_endings(Chain(layout.administration).read())
    return sooner(recorded, *(endings_of(_here(NoFollowFile(path))) for path in files))


def require_keys(content: bytes, path: Path) -> None:
    """Raise OpsError where `content`, of a backup and for the file `path`, is no file of API keys."""
    if _keys(content, path) is None:
        raise OpsError(
            msg("the backup of {path} is not a file of API keys\nnothing was touched", path=path),
            msg("choose another backup"),
        )


def put_keys(
    place: NoFollowFile,
    content: bytes,
    endings: Endings,
    mode: int,
    owner: tuple[int, int] | None,
    *,
    since: float = 0.0,
) -> None:
    """Write `content`, of a backup, merged with the keys that are there and were made from `since` on.

    `since` is in seconds of the clock. What is no file of keys comes back as it is: it opens nothing. Raises
    OpsError.
    """
    back = _keys(content, place.path) or ()
    with alone_with_keys(place.path):
        here = _here(place)
        endings = sooner(endings, endings_of(here))
        whole = merged(back, (k for k in here if k.created.timestamp() >= since), endings)
        place.put(io.BytesIO(content if whole == back else text_of(whole).encode()), mode, owner)
        if _here(place) != whole:
            raise OpsError(
                msg("{path} differs from the content that was just written", path=place.path),
                msg(
                    "check the keys with `techsapo keys list`, and look for another program that writes to "
                    "this file"
                ),
            )


def keys_at(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file; none where it is not there, or none of ours. Raises OpsError."""
    return _here(NoFollowFile(path.parent.resolve() / path.name))


def change_keys(path: Path, change: Callable[[tuple[ApiKey, ...]], tuple[ApiKey, ...]]) -> None:
    """Write what `change` makes of the keys of a file, where there are any. Raises OpsError."""
    place = NoFollowFile(path)
    here = _here(place)
    if change(here) == here:  # no lock is left beside a file that stays
        return
    with alone_with_keys(path):
        here, facts = _here(place), place.look()
        whole = change(here)
        if facts is not None and whole != here:
            place.put(io.BytesIO(text_of(whole).encode()), facts.st_mode, (facts.st_uid, facts.st_gid))


def end_keys(layout: Layout, spec: Spec) -> None:
    """Let no key work, by `spec`, longer than the record of administration and the files of keys say.

    Raises OpsError.
    """
    files = key_files(layout, spec)
    if any(keys_at(path) for path in files):
        endings = known_endings(layout, files)
        for path in files:
            change_keys(path, lambda keys: ended(keys, endings))


def _here(place: NoFollowFile) -> tuple[ApiKey, ...]:
    if place.look() is None:
        return ()
    content = io.BytesIO()
    place.copy_to(content)
    return _keys(content.getvalue(), place.path) or ()


def _keys(content: bytes, path: Path) -> tuple[ApiKey, ...] | None:
    try:
        return keys_in(content.decode(), path)
    except (OpsError, UnicodeDecodeError):
        return None


_Path = tuple[str | int, ...]
_Scalars = Iterator[tuple[_Path, yaml.ScalarNode]]


def filled(text: str, present: str, where: str) -> str:
    """`text` with every masked value as `present` writes it at the same place.

    In a list, entries are the same only where everything else in them is, and a section of another `kind` is
    another one. Raises OpsError naming a value that `present` has not; `where` is the file's name in it.
    """
    there = read_nodes(present)
    masked = [(path, node) for path, node in _scalars(read_nodes(text)) if node.value == MASK]
    for path, node in reversed(masked):
        scalar = _at(read_nodes(text), there, path)
        if scalar is None:
            line = node.start_mark.line + 1
            raise OpsError(
                msg(
                    "{where}:{line} {map} is masked in the backup, and the spec on this host has no such "
                    "value\nnothing was touched",
                    where=where,
                    line=line,
                    map=".".join(map(str, path)),
                ),
                msg(
                    "write the value into this host's spec first, or fetch the spec from off-site "
                    "(docs/backup.md)"
                ),
            )
        value = present[scalar.start_mark.index : scalar.end_mark.index]
        text = f"{text[: node.start_mark.index]}{value}{text[node.end_mark.index :]}"
    return text


def _scalars(node: yaml.Node | None, path: _Path = ()) -> _Scalars:
    if isinstance(node, yaml.ScalarNode):
        yield path, node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _scalars(value, (*path, number))


def _at(mine: yaml.Node | None, theirs: yaml.Node | None, path: _Path) -> yaml.ScalarNode | None:
    """The scalar of `theirs` at `path`, where what is on the way is the same in `mine`."""
    for step in path:
        mine, theirs = _child(mine, step), _child(theirs, step)
        if (isinstance(step, int) and not _agree(mine, theirs)) or _kind(mine) != _kind(theirs):
            return None
    if not isinstance(theirs, yaml.ScalarNode) or theirs.style in {"|", ">"} or theirs.value == MASK:
        return None
    return theirs


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        child: yaml.Node = node.value[step]
        return child
    return None


def _kind(node: yaml.Node | None) -> str | None:
    child = _child(node, "kind")
    return child.value if isinstance(child, yaml.ScalarNode) else None


def _agree(mine: yaml.Node | None, theirs: yaml.Node | None) -> bool:
    others = dict(_plain(theirs))
    return all(others.get(path) == value for path, value in _plain(mine) if value != MASK)


def _plain(node: yaml.Node | None) -> Iterator[tuple[_Path, str]]:
    return ((path, scalar.value) for path, scalar in _scalars(node))
