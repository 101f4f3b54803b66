"""What an off-site copy says of itself, so that an empty host can have the stack again."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack import shapes
from techsapo_ops.stack.shapes import Shape, count

_MOST_VALUES = 1_000_000
"""Each costs some 100 bytes of memory, however few it has in the file."""


@contextmanager
def reading(where: str, hint: str) -> Iterator[None]:
    """Raise OpsError, that `where` is damaged, where the block finds another form; `hint`: what to try."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise OpsError(msg("{where} is damaged", where=where), hint) from None


def members(data: bytes, where: str, *, form: int, shape: Shape, longest: int) -> dict[str, Any]:
    """The members of a document of at most `longest` bytes, but for its `version`.

    Raises OpsError for a newer form than `form`; for any other fault what `reading` takes.
    """
    if len(data) > longest or data.count(b",") > _MOST_VALUES:
        raise ValueError(where)
    document: dict[str, Any] = json.loads(data, parse_constant=_refuse)
    if b"\\u" in data:  # ours are plain UTF-8; half of a surrogate pair could not even be printed
        json.dumps(document, ensure_ascii=False).encode()
    version = document.pop("version")
    if not count(version):
        raise ValueError(version)
    if version > form:
        raise NewerError(
            msg(
                "{where} was written by a newer techsapo (format {version}, this one reads up to {version2})",
                where=where,
                version=version,
                version2=form,
            ),
            msg("use that version, or a newer one"),
        )
    if not shape(document):
        raise ValueError(where)
    return document


def _refuse(word: str) -> float:
    raise ValueError(word)


VERSION = 1
"""Of the form; a newer one is refused."""
FILE = "description.json"
FOLDER = "recovery-description"
"""Name of the folder that holds FILE in the repository; here it is only until restic has copied it."""
LONGEST = 4 * 1024 * 1024
"""Bytes of a description."""
_MOST = 10_000
"""Paths that one may name."""


class NewerError(OpsError):
    """It was written by a newer techsapo than this one."""


class What(StrEnum):
    """What a path that went off-site is."""

    BACKUP = "backup"
    SPEC = "spec"
    VARIABLES = "variables"
    SECRET = "secret"  # noqa: S105 - a word
    FILE = "file"
    TEMPLATES = "templates"
    CONFIG_PATH = "config path"
    KEYS = "keys"
    BACKUP_KEYS = "backup keys"
    CERTIFICATES = "certificates"
    ACME = "acme accounts"
    API_KEYS = "api keys"
    ADMINISTRATION = "record of administration"
    COPIES = "secret copies"
    KIT = "kit"


NOT_TAKEN: Mapping[str, str] = {
    msg("generated files"): msg("`up` generates them from the spec"),
    msg("the ledger of applies"): msg("it describes the old host; the record of administration is copied"),
    msg("logs of services and records of jobs"): msg("they describe the old host"),
    msg("alerts, silences, results of provider tests"): msg("it changes from moment to moment"),
}
"""What of a stack never goes off-site, and why."""


@dataclass(frozen=True, slots=True)
class CopiedPath:
    """A path that went off-site: `path` as the stack names it, `content` in the copy, links resolved.

    `field` is the place in the spec that names it as `named`; both are empty for what no field names. Whose
    it was does not matter: what comes back belongs to whoever recovers it.
    """

    path: str
    content: str
    what: str
    folder: bool
    mode: int
    field: str = ""
    named: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """The stack that a backup is of, as it was when that went off-site."""

    backup: str
    project: str
    taken: datetime
    tool: str
    engine: str
    environment: str | None
    """The overlay that was applied last."""
    host: str
    user: str
    directory: str
    """The folder of the spec."""
    spec: str
    """Name of the spec's file."""
    state: str
    tracing: bool
    """Whether the packages of requirements-otel.lock are needed."""
    paths: tuple[CopiedPath, ...] = ()
    variables: tuple[str, ...] = ()
    """Variables that the spec reads and that were in the environment alone; their values did not go along."""
    left: Mapping[str, str] = field(default_factory=dict)
    """What did not go off-site, and why."""

    def text(self) -> str:
        """It as it is written."""
        document = asdict(self) | {"version": VERSION, "taken": self.taken.isoformat()}
        document["kept"] = document.pop("paths")
        return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"

    def of(self, what: What) -> tuple[CopiedPath, ...]:
        """What of that kind went along."""
        return tuple(item for item in self.paths if item.what == what)


def read(data: bytes, where: str) -> Description:
    """The description in `data`; members that this version does not know are passed over.

    Raises OpsError for one that is damaged, or of a newer form.
    """
    hint = msg("choose another copy with --at, or restore the files by hand (docs/backup.md)")
    with reading(where, hint):
        document = members(data, where, form=VERSION, shape=_WHOLE, longest=LONGEST)
        paths = tuple(
            CopiedPath(**{name: each[name] for name in _PATH_NAMES if name in each})
            for each in document["kept"]
        )
        taken = datetime.fromisoformat(document["taken"]).astimezone(UTC)
        plain = {name: document[name] for name in _PLAIN_NAMES}
        return Description(**plain, taken=taken, paths=paths, variables=tuple(document["variables"]))


def _absolute(value: Any) -> bool:
    """A plain absolute path."""
    if not isinstance(value, str) or len(value) > 4096 or "\0" in value or not value.startswith("/"):
        return False
    return ".." not in PurePosixPath(value).parts and not value.startswith("//")


def _name(value: Any) -> bool:
    """The name of one file: no path."""
    return (
        isinstance(value, str)
        and 0 < len(value) < 256
        and not set(value) & {"/", "\0"}
        and value not in {".", ".."}
    )


def _line(value: Any) -> bool:
    """A line without what moves a cursor or turns text around; a space of any width is one."""
    return (
        isinstance(value, str)
        and len(value) <= 4096
        and not any(unicodedata.category(each) in _UNSEEN or each in _TURNING for each in value)
    )


_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


_KINDS = frozenset(map(str, What))
_PATH = shapes.has(
    path=_absolute,
    content=_absolute,
    what=lambda value: value in _KINDS,
    folder=shapes.flag,
    mode=lambda value: shapes.count(value) and value < 0o10000,
    also={"field": _line, "named": _line},
)
_PATH_NAMES = tuple(CopiedPath.__slots__)
_PLAIN_NAMES = (
    "backup", "project", "tool", "engine", "environment", "host", "user", "directory", "spec", "state",
    "tracing", "left",
)  # fmt: skip
_WHOLE = shapes.has(
    backup=shapes.file_name,
    project=shapes.file_name,
    taken=shapes.text,
    tool=_line,
    engine=_line,
    environment=shapes.optional(_line),
    host=_line,
    user=_line,
    directory=_absolute,
    spec=lambda value: _name(value) and _line(value),
    state=_absolute,
    tracing=shapes.flag,
    kept=lambda value: shapes.listed(_PATH)(value) and len(value) <= _MOST,
    variables=shapes.listed(_line),
    left=shapes.each(_line, _line),
)
