"""The digest of a prompt in the audit log: by a key, and telling by which."""

from __future__ import annotations

import hashlib
import re

from rows import each_row

from techsapo_ops.stores.audit.prompt_hash import PromptHash

PROMPT = "Dockerコンテナが起動しない"


@each_row("prompt", [PROMPT, "", "\ud800", "x" * 20_000])
def test_it_fits_the_column_and_names_its_form_and_key(prompt: str) -> None:
    assert re.fullmatch(r"k1\.[0-9a-f]{8}\.[0-9a-f]{52}", PromptHash(b"key").of(prompt))


def test_without_the_key_nobody_finds_out_which_question_it_was() -> None:
    made = PromptHash(b"key").of(PROMPT)
    assert hashlib.sha256(PROMPT.encode()).hexdigest()[:20] not in made
    assert PromptHash(b"another").of(PROMPT).split(".")[2] != made.split(".")[2]


def test_another_key_tells_itself_by_its_name_so_that_nobody_compares_across() -> None:
    keys = {PromptHash(key).of(PROMPT).split(".")[1] for key in (b"key", b"another", None, None)}
    assert len(keys) == 4
