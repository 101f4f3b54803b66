"""The configuration: the spec, the generated files, certificates, and what `backup.paths` names.

What is secret stays out, since the folder of the backups is not encrypted: an encrypted off-site repository
takes it (see backup.offsite).
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from techsapo_ops import __version__
from techsapo_ops.adapters.folders import read_error
from techsapo_ops.adapters.nofollow import NoFollowFile
from techsapo_ops.adapters.packed import PackedReader, PackedWriter, Stream
from techsapo_ops.adapters.tarball import ArchiveError, entries
from techsapo_ops.backup.kinds.secret_files import secret_paths, secret_values
from techsapo_ops.errors import OpsError
from techsapo_ops.masking import MASK
from techsapo_ops.masking.search import SHORTEST, forms
from techsapo_ops.messages import msg
from techsapo_ops.stack.backup import Part, Progress
from techsapo_ops.stack.layout import OVERRIDES
from techsapo_ops.stack.template_folders import overrides_folder

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.stack import Stack


KIND = "config"
MOST_FILES = 200_000
"""Files that a backup of the configuration may hold."""
_PRIVATE_KEY = b"PRIVATE KEY-----"
_SECRET = msg("it is secret")
_HOLDS_KEY = msg("it holds a private key")
_HOLDS_SECRET = msg("it holds a secret of the spec")
LEFT_OUT = {why: why for why in (_SECRET, _HOLDS_KEY, _HOLDS_SECRET)}
"""Why a file is left out, by the words that a manifest has for it."""


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Files of the configuration.

    `trees` are folders or files by the name they get in the archive; `secret_paths` stay out, as does every
    file that holds one of `secrets` or a private key. `masked` are files whose secrets are masked instead.
    """

    trees: Mapping[str, Path]
    secrets: tuple[bytes, ...] = ()
    secret_paths: frozenset[Path] = frozenset()
    masked: frozenset[Path] = frozenset()
    kind: str = field(default=KIND, init=False)

    def take(self, folder: Path, stamp: str, progress: Progress) -> Part:
        """Write the files into an archive in `folder`. Raises OpsError for one that can't be read."""
        began = time.monotonic()
        path = folder / f"config-{stamp}.tar.zst"
        digests: dict[str, str] = {}
        left_out: dict[str, str] = {}
        with PackedWriter(path, progress) as file, tarfile.open(fileobj=file, mode="w|") as tar:  # type: ignore[call-overload] # write() is all it calls
            for name, source in self._files():
                content, why = self.content(source)
                if content is None:
                    left_out[name] = why
                    continue
                entry = tarfile.TarInfo(name)
                facts = source.stat()
                entry.size, entry.mtime, entry.mode = len(content), int(facts.st_mtime), facts.st_mode & 0o777
                tar.addfile(entry, io.BytesIO(content))
                digests[name] = hashlib.sha256(content).hexdigest()
                if len(digests) > MOST_FILES:
                    raise OpsError(
                        msg("the configuration has more than {most_files:,} files", most_files=MOST_FILES),
                        msg("name fewer folders in backup.paths"),
                    )
        return Part(
            KIND, path.name, file.bytes, file.raw_bytes, file.sha256, round(time.monotonic() - began, 3),
            f"techsapo-ops {__version__}", {"files": digests, "left_out": left_out},
        )  # fmt: skip

    def _files(self) -> Iterator[tuple[str, Path]]:
        seen: set[str] = set()
        for name, top in self.trees.items():
            for path in _walk(top):
                below = path.relative_to(top)
                full = name if path == top else f"{name}/{below.as_posix()}"
                if full not in seen:
                    seen.add(full)
                    yield full, path

    def digest(self, path: Path) -> str:
        """SHA-256 of a file as it would be backed up; empty where it would be left out."""
        content, _ = self.content(path)
        return hashlib.sha256(content).hexdigest() if content is not None else ""

    def content(self, path: Path) -> tuple[bytes | None, str]:
        """A file as it is backed up, or None and why it is not. Raises OpsError where it can't be read."""
        real = path.resolve()  # `..` in backup.paths leads to them as well
        if any(secret in {each, *each.parents} for each in (path, real) for secret in self.secret_paths):
            return None, _SECRET
        try:
            content = path.read_bytes()
        except OSError as error:
            raise read_error(path, error, msg("run this command as a user who can read it")) from None
        if path in self.masked:
            content = self._without(content)
        if _PRIVATE_KEY in content:
            return None, _HOLDS_KEY
        if self._holds_secret(path, content):
            return None, _HOLDS_SECRET
        return content, ""

    def _without(self, content: bytes) -> bytes:
        """The YAML in `content` with every scalar masked that holds a secret, however it is quoted there."""
        text = content.decode("utf-8", errors="surrogateescape")
        known = [secret.decode() for secret in self.secrets if len(secret) >= SHORTEST]
        tokens = [t for t in yaml.scan(text) if isinstance(t, yaml.ScalarToken)]
        for token in reversed(tokens):
            if any(secret in token.value for secret in known):
                start, end = token.start_mark.index, token.end_mark.index
                text = f'{text[:start]}"{MASK}"{text[end:]}'
        masked = text.encode("utf-8", errors="surrogateescape")
        for secret in self.secrets:  # those in comments
            for form in _written(secret):
                masked = masked.replace(form, MASK.encode())
        return masked

    def _holds_secret(self, path: Path, content: bytes) -> bool:
        if any(form in content for secret in self.secrets for form in _written(secret)):
            return True
        if path.suffix not in {".yaml", ".yml", ".json"}:
            return False
        known = [secret.decode() for secret in self.secrets if len(secret) >= SHORTEST]
        try:
            scalars = [t.value for t in yaml.scan(content) if isinstance(t, yaml.ScalarToken)]
        except yaml.YAMLError:  # JSON may hold what YAML does not allow, or it is neither
            return False
        return any(secret in scalar for secret in known for scalar in scalars)


@lru_cache(maxsize=256)
def _written(secret: bytes) -> tuple[bytes, ...]:
    """The forms of a secret in a file; each of many files is searched for them."""
    return tuple(form.encode() for form in forms(secret.decode()))


def _walk(top: Path) -> Iterable[Path]:
    if top.is_dir():
        return sorted(p for p in top.rglob("*") if p.is_file() and not p.is_symlink())
    if not top.is_file():
        raise OpsError(msg("{top} does not exist", top=top), msg("remove it from backup.paths"))
    return [top]


def check(part: Part, reader: PackedReader) -> list[str]:
    """What is wrong with an archive, by its entries and the digests of its files."""
    wanted: Mapping[str, str] = part.facts["files"]
    missing = set(wanted)
    wrong = []
    try:
        for entry, content in entries(Stream(reader), most=len(wanted)):
            if entry.folder or entry.name not in wanted:
                return [
                    msg(
                        "{name} does not belong to the backup: it is not in the manifest",
                        name=repr(entry.name),
                    )
                ]
            missing.discard(entry.name)
            if digest_of(content) != wanted[entry.name]:
                wrong.append(msg("{name} has different content", name=entry.name))
    except ArchiveError as error:
        return [msg("the archive can't be used: {error}", error=error)]
    return wrong + [msg("{name} is missing", name=name) for name in sorted(missing)]


def digest_of(content: Iterable[bytes]) -> str:
    """SHA-256 of what comes in pieces, hexadecimal."""
    digest = hashlib.sha256()
    for data in content:
        digest.update(data)
    return digest.hexdigest()


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
    by_name = {}
    for name in part.facts["files"]:
        parts = name.split("/")
        for count in range(len(parts), 0, -1):
            top = "/".join(parts[:count])
            if top in tops and not (top in files and count < len(parts)) and name not in left:
                by_name[name] = NoFollowFile(tops[top].joinpath(*parts[count:]))
                break
    return by_name


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
                "the spec in the backup has its templates in {there}, the current spec in {here}\n"
                "nothing was touched",
                there=there,
                here=here,
            ),
            msg("{change} the current spec, then restore again", change=change),
        )


def changed(stack: Stack, part: Part) -> Iterator[str]:
    """Names of the files that are not as they were when they were backed up, secrets masked as then."""
    source = config_source(stack)
    wanted: Mapping[str, str] = part.facts["files"]
    for name, place in places(stack, part).items():
        if place.look() is None or source.digest(place.path) != wanted[name]:
            yield name
