"""How the audit log tells the same question again without holding it: a keyed digest."""

from __future__ import annotations

import secrets

from techsapo_ops.adapters.mac import mac

_PURPOSE = "prompt hash"
_ID_DIGITS = 8
_DIGITS = 52
"""Hexadecimal digits, 208 bits: all in all as many characters as a SHA-256, for which the column was made."""


class PromptHash:
    """Digests of prompts by `key`, which the database does not hold; without one by a key of this process.

    A plain SHA-256 would tell whoever reads the rows which of the questions that they can think of were
    asked. `k1.KEY.DIGEST` says the form, by which key, and the HMAC-SHA-256.
    """

    def __init__(self, key: bytes | None) -> None:
        self._key = key or secrets.token_bytes(32)
        self._id = mac(self._key, _PURPOSE, "id").hex()[:_ID_DIGITS]

    def of(self, prompt: str) -> str:
        """The digest of `prompt`, 64 characters."""
        made = mac(self._key, _PURPOSE, "prompt", prompt).hex()
        return f"k1.{self._id}.{made[:_DIGITS]}"
