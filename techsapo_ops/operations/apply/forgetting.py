"""Which snapshots the ledger no longer keeps: those with secrets that are none any more (decision 33)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from techsapo_ops.masking.known import forms
from techsapo_ops.spec.logins import written_secrets


@dataclass(frozen=True, slots=True)
class Alive:
    """What the newest snapshots hold: values of secrets, and digests of secret files."""

    values: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()

    @classmethod
    def of(cls, documents: Iterable[bytes], made: Iterable[str]) -> Alive:
        """That of frozen snapshots, with the secrets that the tool `made` itself."""
        found = [json.loads(document) for document in documents]
        values = {value for each in found for value in _values(each)} | {value for value in made if value}
        digests = {f["digest"] for each in found for f in each["files"] if f["secret"]}
        return cls(frozenset(values), frozenset(digests))

    def lacks(self, document: bytes, content: Callable[[str], bytes]) -> bool:
        """Whether a frozen snapshot has a secret that is not alive; `content` gives a file by its digest.

        A secret file is fine where it holds a secret that is alive: what is secret in any other is unknown.
        """
        value = json.loads(document)
        stale = _values(value) - self.values
        return bool(stale) or any(
            f["secret"] and f["digest"] not in self.digests and not self._within(content(f["digest"]))
            for f in value["files"]
        )

    def _within(self, text: bytes) -> bool:
        return any(form.encode() in text for value in self.values for form in forms(value))


def _values(value: Mapping[str, Any]) -> set[str]:
    specs = (value["spec"], value["given"]["spec"])
    return {*value["secrets"].values(), *(secret for spec in specs for secret in written_secrets(spec))}
