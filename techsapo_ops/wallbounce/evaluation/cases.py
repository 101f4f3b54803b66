"""Labelled questions, as users write them: one YAML file holds one or a list of them."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from techsapo_ops.adapters.files import read_text
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.question import Language, TaskType, fold

Words = Annotated[str, Field(max_length=200, pattern=r"^[^…]*[^\s…][^…]*(…[^…]*){0,2}$")]
Rule = Words | Annotated[tuple[Words, ...], Field(min_length=1, max_length=20)]
"""Words that an answer says, or several of which one is enough; `…` is anything up to 80 characters.

It stands twice at most: each more makes the search in an answer eighty times as long."""
Rules = Annotated[tuple[Rule, ...], Field(max_length=20)]
_REFUSING_BEFORE = re.compile(r"\b(?:never|not|avoid|without|instead of|rather than|cannot|\w+n't)\b")
_REFUSING_AFTER = re.compile(r"ない|ません|避け|禁|せず|厳禁|ずに|代わりに")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s|[。\n]")
_BLANKS = re.compile(r"\s+")


class Case(BaseModel):
    """One question and what its answer must and must not say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    question: Annotated[str, Field(min_length=3, max_length=10_000)]
    language: Language
    tier: TaskType = "basic"
    must_say: Rules = ()
    must_not_say: Rules = ()
    commands: Rules = ()
    """Commands that decide the case: the answer names each, in its text or among its commands."""
    answerable: bool = True
    """Without, the right answer is to decline, or to ask back as `must_say` has it."""
    rubric: Annotated[str, Field(max_length=1000)] = ""
    example: str = ""
    """A right answer, which the rules are tested with."""
    wrong: str = ""
    """A wrong one."""

    def broken(self, answer: str, commands: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The rules that `answer`, which names `commands`, does not keep; each by its first words."""
        said = _plain(answer)
        named = _plain("\n".join((answer, *commands)))
        return (
            *(_first(rule) for rule in self.must_say if not _says(said, rule)),
            *(_first(rule) for rule in self.commands if not _says(named, rule)),
            *(f"!{_first(rule)}" for rule in self.must_not_say if _recommends(named, rule)),
        )

    def digest(self, tier: TaskType) -> str:
        """What tells this question, asked at `tier`, from another one."""
        text = "\0".join((self.id, self.question, self.language, tier))
        return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]


_CASES: TypeAdapter[tuple[Case, ...]] = TypeAdapter(tuple[Case, ...])


def read_cases(folder: Path) -> tuple[Case, ...]:
    """The cases of all YAML files in `folder`, by the name of the file.

    Raises OpsError, with exit code 2, for a file that is none, an id that stands twice, and an empty folder.
    """
    cases: dict[str, Case] = {}
    for file in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
        try:
            if not file.is_file():  # a pipe that nobody writes to has no end, nor has a device
                raise yaml.YAMLError(msg("this is not a regular file"))
            data = read_yaml(read_text(file))
            read = _CASES.validate_python(data if isinstance(data, list) else [data])
        except yaml.YAMLError as error:
            raise OpsError(
                msg("{file} is not YAML: {error}", file=file, error=str(error)[:300]), exit_code=2
            ) from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise OpsError(
                msg("{file}: {where}: {error}", file=file, where=where, error=first["msg"]),
                msg("examples/eval shows how a case is written"),
                exit_code=2,
            ) from None
        for case in read:
            if case.id in cases:
                raise OpsError(msg("{file}: the id {id} is used twice", file=file, id=case.id), exit_code=2)
            if not (case.must_say or case.commands or case.must_not_say or case.rubric):
                raise OpsError(msg("{file}: {id} has no rule", file=file, id=case.id), exit_code=2)
            cases[case.id] = case
    if not cases:
        raise OpsError(
            msg("{folder} holds no YAML files with cases", folder=folder),
            msg("examples/eval shows how a case is written"),
            exit_code=2,
        )
    return tuple(cases.values())


def _plain(text: str) -> str:
    return fold(text).casefold()


def _first(rule: Rule) -> str:
    return rule if isinstance(rule, str) else rule[0]


def _says(text: str, rule: Rule) -> bool:
    return _pattern(rule).search(text) is not None


def _recommends(text: str, rule: Rule) -> bool:
    """Whether `rule` stands in a sentence that does not advise against it."""
    pattern = _pattern(rule)
    for sentence in _SENTENCE_END.split(text):
        matches = list(pattern.finditer(sentence))
        if not matches:
            continue
        # Each looked for once: a model that repeats itself says the words thousands of times in one sentence.
        before = _REFUSING_BEFORE.search(sentence, 0, matches[-1].start())
        refused_from = before.end() if before else len(sentence) + 1
        refused_to = max((m.start() for m in _REFUSING_AFTER.finditer(sentence)), default=-1)
        if any(m.start() < refused_from and m.end() > refused_to for m in matches):
            return True
    return False


@lru_cache(maxsize=2048)
def _pattern(rule: Rule) -> re.Pattern[str]:
    """Finds one of the rule's words: from a word's beginning, so that `rm` is not found in `alarm`."""
    return re.compile("|".join(_one(words) for words in ((rule,) if isinstance(rule, str) else rule)))


def _one(words: str) -> str:
    # NFKC makes three points of an ellipsis.
    parts = (
        r"\s+".join(re.escape(word) for word in _BLANKS.split(part.strip()))
        for part in words.casefold().split("…")
    )
    start = r"(?<![a-z0-9_])" if re.match(r"[a-z0-9_]", words.casefold()) else ""
    return start + r"[^\n]{0,80}?".join(_plain(part) for part in parts)
