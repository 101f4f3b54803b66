"""Answers that are given again: to the same question, while they are fresh."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import orjson
from pydantic import BaseModel

from techsapo_ops.adapters.jsons import dump, load
from techsapo_ops.serve.bodies.answer import AnswerBody
from techsapo_ops.serve.bodies.base import Document
from techsapo_ops.serve.options import Options
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stores.cache import AnswerCache, StorageShare
from techsapo_ops.stores.locks import SharedLock
from techsapo_ops.wallbounce.examination.prompts import PROMPT_VERSION
from techsapo_ops.wallbounce.question import Question, TaskType

IMMATERIAL = frozenset({"request_id", "masker"})
"""What of a question changes no answer: who asks, and what masks, whose level belongs to the setting."""
_MATERIAL = tuple(f.name for f in fields(Question) if f.name not in IMMATERIAL)


@dataclass(frozen=True, slots=True)
class StoredAnswers:
    """Answers by question, each stored for `ttl` seconds; none at all where that is 0.

    `setting` tells what the answers to a caller depend on now beside the question: the caller itself, where
    answers are not shared. `count` counts each look-up: hit, miss or error. Of a caller whose `share` is
    used up no more are stored: they would take the room of what others have stored.
    """

    cache: AnswerCache
    lock: SharedLock
    ttl: float
    setting: Callable[[str], str]
    count: Callable[[str], None]
    share: StorageShare | None = None

    def key(self, question: Question, task_type: TaskType, caller: str) -> str:
        """Same key for the same question to the letter, of the same tier and in the same setting of `caller`.

        Nothing is folded: the fault that is asked about may be an indentation or a full-width digit.
        """
        asked = {name: getattr(question, name) for name in _MATERIAL}
        parts = [self.setting(caller), task_type, asked]
        try:
            whole = orjson.dumps(parts, tuple)  # the parts of a question are tuples with names
        except TypeError:  # a lone surrogate, which a question may differ in
            whole = json.dumps(parts).encode()
        return hashlib.sha256(whole).hexdigest()

    async def find(self, key: str) -> Document | None:
        """The answer of `key`, where there is one; the look-up counts."""
        return await self._look_up(key, self.count)

    async def keep(self, key: str, answer: Document, caller: str = "") -> None:
        """Store `answer`, which `caller` asked for; "" is nobody told apart."""
        if self.ttl <= 0:
            return
        value = dump(answer)
        if self.share is None or await self.share.takes(caller, len(value)):
            await self.cache.set(key, value, self.ttl)

    async def once(
        self, key: str, work: Callable[[], Awaitable[Document]], waiting: Callable[[], None]
    ) -> tuple[Document, bool]:
        """What `work` makes, and True; or what another instance, which is at it already, has stored.

        `waiting` is called again and again while that one is at it.
        """
        if self.ttl <= 0:
            return await work(), True
        return await self.lock.run(key, lambda: self._look_up(key, lambda _: None), work, waiting=waiting)

    async def _look_up(self, key: str, count: Callable[[str], None]) -> Document | None:
        if self.ttl <= 0:
            return None
        errors = self.cache.read_errors
        raw = await self.cache.get(key)
        failed = self.cache.read_errors > errors
        answer: Document | None = None
        if raw is not None:
            try:
                answer = load(raw)
                AnswerBody.model_validate(answer)
            except ValueError:  # a ValidationError is one, too
                answer, failed = None, True
        count("error" if failed else "miss" if answer is None else "hit")
        return answer


def answer_setting(options: Options, build: str) -> Callable[[Sequence[str]], str]:
    """Gives what an answer depends on beside the question, as one digest, by the names of the providers that
    are asked now, in their order.

    All fields of the sections that reach an analysis count, also those that change no answer: after a change
    of the spec an answer is at worst made once more. `build` is what this process runs: prompts, parsing and
    the verdict are code.
    """
    spec = options.spec
    same = {
        "build": build,
        "prompts": PROMPT_VERSION,
        "mask": options.mask,
        "calibration": options.calibration.key if options.calibration is not None else "",
        "wallbounce": _plain(spec.wallbounce),
        "budget": _plain(spec.budget),
        "limits": _plain(spec.app.limits),
    }

    @lru_cache(maxsize=64)
    def of(names: tuple[str, ...]) -> str:
        panel = [[name, _plain(spec.providers[name])] for name in names]
        whole = json.dumps({**same, "providers": panel}, sort_keys=True, default=str)
        return hashlib.sha256(whole.encode()).hexdigest()

    return lambda names: of(tuple(names))


def _plain(value: Any) -> Any:
    """`value` as JSON has it. Of a secret a digest."""
    if isinstance(value, Secret):
        return hashlib.sha256(value.reveal().encode()).hexdigest()
    if isinstance(value, BaseModel):
        return {name: _plain(each) for name, each in value}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
