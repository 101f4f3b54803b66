"""Where templates lie: ours, and the folders of an operator's own that come before them.

A user's folder is never one of ours: in a checkout of this repository that holds the spec too, `templates/`
beside the spec is ours.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from techsapo_ops.adapters.build import PACKAGED_TEMPLATES, TEMPLATES
from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import Finding
from techsapo_ops.spec.user_path import user_path
from techsapo_ops.stack.layout import OVERRIDES

FIELD = ("template_overrides",)
FIXED = frozenset({"init/techsapo.yaml.j2"})
"""Templates that no override takes the place of: `init` has no project yet, and timers are root's own."""


@cache
def template_root() -> Path:
    """Folder of our templates: the wheel's copy, or the repository's `templates/`."""
    package = Path(__file__).resolve().parent.parent
    for root in (package / PACKAGED_TEMPLATES, package.parent / TEMPLATES):
        if root.is_dir():
            return root
    raise OpsError(msg("the built-in templates are missing"), msg("reinstall techsapo-ops"))


@cache
def builtin_names() -> tuple[str, ...]:
    """Names of our templates, sorted, such as `nginx/nginx.conf.j2`."""
    root = template_root()
    return tuple(sorted(p.relative_to(root).as_posix() for p in root.rglob("*.j2")))


def nearest(name: str) -> str:
    """A hint for a name that no built-in template has."""
    near = difflib.get_close_matches(name, builtin_names(), n=1, cutoff=0.4)
    return (
        msg("did you mean {near}?", near=near[0])
        if near
        else msg("`techsapo config templates list` shows all templates")
    )


def overrides_folder(directory: Path, named: str | None) -> Path:
    """The folder of the operator's own templates, for a spec in `directory` that names `named`."""
    return user_path(OVERRIDES if named is None else named, directory)


@dataclass(frozen=True, slots=True)
class Overrides:
    """The folder of an operator's own templates, which come before ours.

    `folder` is what the spec of `directory` names (`named`), or the default.
    """

    directory: Path
    folder: Path
    named: bool

    @property
    def is_there(self) -> bool:
        """Whether there is such a folder."""
        return os.path.isdir(self.folder)  # noqa: PTH112 - False where it can't be looked at

    def template(self, name: str) -> Path | None:
        """The operator's template of this name that comes before ours, if there is one."""
        path = self.folder / name
        return path if self.is_there and path.is_file() else None

    @property
    def missing(self) -> bool:
        """Whether the spec names a folder that is not there."""
        return self.named and not os.path.lexists(self.folder)

    @property
    def receives(self) -> bool:
        """Whether templates can be put into `folder`, which is made where it is not there yet."""
        return self.obstacle is None or (self.missing and self._misplaced() is None)

    @property
    def obstacle(self) -> Finding | None:
        """Why `folder` can't be used; nothing is rendered then, since what is in it would be left out."""
        folder = self.folder
        if not self.named and not os.path.lexists(folder):
            return None
        if (misplaced := self._misplaced()) is not None:
            return misplaced
        try:
            _below(folder)
        except FileNotFoundError:
            hint = msg(
                "restore the folder (`techsapo restore --only config`), create it, or name another folder"
            )
            return Finding(FIELD, msg("there is no folder {folder}", folder=folder), hint)
        except NotADirectoryError:
            return Finding(
                FIELD,
                msg("{folder} is not a folder", folder=folder),
                msg("remove that file, or name another folder"),
            )
        except OSError as error:
            message = msg(
                "cannot read {filename}: {strerror}", filename=error.filename, strerror=error.strerror
            )
            return Finding(FIELD, message, msg("run the command as a user who can read that path"))
        return None

    def warnings(self) -> Iterator[Finding]:
        """Templates that change nothing. Raises OpsError for one that can't be read."""
        own = _below(self.folder) if self.is_there and self.obstacle is None else {}
        for name, path in own.items():
            if name in FIXED:
                yield _warning(
                    msg("{path} is not used: {name} can't be overridden", path=path, name=name),
                    msg("remove that file"),
                )
            elif name not in builtin_names() and not _is_mentioned(name, own):
                yield _warning(
                    msg("{path} is not used: there is no built-in template {name}", path=path, name=name),
                    nearest(name),
                )

    def _misplaced(self) -> Finding | None:
        """Why no folder at this place can be one of overrides."""
        real, spec = Path(os.path.realpath(self.folder)), Path(os.path.realpath(self.directory))
        hint = msg("name another folder, such as {overrides}", overrides=OVERRIDES)
        if real == template_root().resolve():
            message = msg("{folder} contains the built-in templates", folder=self.folder)
            return Finding(FIELD, message, hint)
        if spec.is_relative_to(real) or real.is_relative_to(spec / STATE_DIRECTORY):
            return Finding(
                FIELD, msg("{folder} contains files that are not templates", folder=self.folder), hint
            )
        return None


def find_overrides(directory: Path, named: str | None) -> Overrides:
    """The operator's own templates, for a spec in `directory` that names the folder `named`, or none."""
    return Overrides(directory, overrides_folder(directory, named), named is not None)


def _below(folder: Path) -> dict[str, Path]:
    """The templates below `folder` by name, sorted. Raises OSError for a folder that can't be read."""
    paths: dict[str, Path] = {}
    seen = set()

    def refuse(error: OSError) -> None:
        raise error

    for where, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(where)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        for path in (Path(where, name) for name in files if name.endswith(".j2")):
            paths[path.relative_to(folder).as_posix()] = path
    return dict(sorted(paths.items()))


def _is_mentioned(name: str, templates: Mapping[str, Path]) -> bool:
    """Whether another one may include, import or extend it."""
    others = (path for other, path in templates.items() if other != name)
    try:
        return any(name in path.read_text(encoding="utf-8", errors="replace") for path in others)
    except OSError as error:
        raise OpsError(
            msg("cannot read {filename}: {strerror}", filename=error.filename, strerror=error.strerror),
            msg("run the command as a user who can read that path"),
        ) from None


def _warning(message: str, hint: str) -> Finding:
    return Finding(FIELD, message, hint, warning=True)
