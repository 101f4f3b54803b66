"""What is wrong with a spec, and where: the values in which loader and rules speak."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import Message, joined, msg

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.spec.models.root import ExposureName

SPACE = "\u3000"
"""What YAML takes for text, and most editors show as a gap."""
_COLON = "："
_KEY = re.compile(
    rf"(?P<before>[ \t{SPACE}]*(?:-[ {SPACE}]+)?[\w{{\['\"-]+[ {SPACE}]*)(?P<colon>[:{_COLON}])(?P<after>.?)",
    re.ASCII,  # keys of the spec are: 連絡先：… is a line of somebody's text
)
Path = tuple[str | int, ...]
"""Where a value is in the document: ("app", "instances", 0, "port")."""


class Mark(NamedTuple):
    """A place in the text; both count from 1, `column` in characters."""

    line: int
    column: int


START = Mark(1, 1)


def dotted(path: Path) -> str:
    """`path` as the user writes it: app.instances.0.port."""
    return ".".join(str(part) for part in path)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right. `path` is dotted and may be empty; so may `hint`."""

    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    filename: str = "techsapo.yaml"

    def __str__(self) -> str:
        """The problem on one line: FILE:LINE:COL path: what is wrong; hint."""
        where = f"{self.filename}:{self.line}:{self.column}"
        what = msg("{path}: {message}", path=self.path, message=self.message) if self.path else self.message
        if not self.hint:
            return msg("{where} {what}", where=where, what=what)
        return msg("{where} {what}; {hint}", where=where, what=what, hint=self.hint)


def problem_at(mark: Mark, path: Path, message: str, hint: str = "") -> Problem:
    """A problem that stays on one line and harmless in a terminal, whatever keys and values hold."""
    where = shown(dotted(path), 200)
    return Problem(mark.line, mark.column, where, shown(message, 1500), shown(hint, 500))


class SpecError(OpsError):
    """A spec that can't be used; `problems` holds everything that is wrong with it, in the file's order."""

    def __init__(
        self, problems: Iterable[Problem], filename: str = "techsapo.yaml", *, exit_code: int = 1
    ) -> None:
        self.problems = in_order(problems, filename)
        super().__init__(joined("\n", (str(problem) for problem in self.problems)), exit_code=exit_code)


def in_order(problems: Iterable[Problem], filename: str) -> tuple[Problem, ...]:
    """The problems of a file in its order, each once."""
    placed = dict.fromkeys(replace(problem, filename=filename) for problem in problems)
    return tuple(sorted(placed, key=lambda p: (p.line, p.column)))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is not among the known ones: the nearest, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if not near:
        by_lower = {name.lower(): name for name in names}
        near = [by_lower[n] for n in difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)]
    if near:
        return msg("did you mean {near}?", near=near[0])
    if not names:
        return ""
    shown = ", ".join(names[:24])
    return msg("known: {shown}, …", shown=shown) if len(names) > 24 else msg("known: {shown}", shown=shown)


def unknown(what: str, name: str, known: Iterable[str] = (), *, hint: str = "") -> OpsError:
    """The error for a name that somebody typed and that there is not, a wrong use: exit code 2.

    It hints at the nearest of the `known` ones, or at all; where there are none, `hint` says how to see them.
    """
    return OpsError(
        msg("there is no {what} {name}", what=what, name=name), did_you_mean(name, known) or hint, exit_code=2
    )


def shown(text: str, limit: int = 60) -> str:
    """`text` on one line, cut to `limit` characters, for a message."""
    if isinstance(text, Message):
        return text.changed(lambda said: shown(said, limit))
    named = text.replace(SPACE, "[U+3000]")  # most editors show a gap
    flat = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in named)
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


@dataclass(frozen=True, slots=True)
class Context:
    """What rules see beside the spec: the environment that it is used in, and what was disabled and why."""

    environment: str | None
    disabled: dict[str, str]
    written: Callable[[Path], bool]
    """Whether the file gives the value at a path."""
    given: Callable[[Path], object] = lambda _: None
    """The value at a path as it is given, also where it is wrong: of an environment with its overlay."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found at `path`; `uses` are further paths it depends on."""

    path: Path
    message: str
    hint: str = ""
    uses: tuple[Path, ...] = ()
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Exposure:
    """Something that others than intended may reach, or that nobody would hear of; `accepted` is the reason
    for which it is meant.

    `uses` are the paths on which it rests, as of a Finding.
    """

    rule: ExposureName
    path: Path
    message: str
    hint: str
    uses: tuple[Path, ...] = ()
    accepted: str | None = None


Rule: TypeAlias = "Callable[[Spec, Context], Iterable[Finding]]"


def slip(text: str) -> tuple[int, str, str] | None:
    """Where the first line of `text` has such a character in the place of YAML's own.

    The column, from 1, what is wrong, and what to try. None where it has none: in a value or a comment they
    are text like any other.
    """
    key = _KEY.match(text.split("\n", 1)[0])
    if key is None:
        return None
    for part, sign in (("before", SPACE), ("colon", _COLON), ("after", SPACE)):
        if sign in key[part]:
            what = msg("colon (U+FF1A)") if sign == _COLON else msg("space (U+3000)")
            return (
                key.start(part) + key[part].index(sign) + 1,
                msg("a full-width {what} is used where YAML needs the half-width one", what=what),
                msg("write the character half-width"),
            )
    return None


def half_width(text: str) -> str:
    """`text` in half-width characters; empty where it is that already."""
    folded = unicodedata.normalize("NFKC", text)
    return folded if folded != text else ""
