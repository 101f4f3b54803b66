"""What is read of a vendor's whole reply, and what is not believed of it."""

from __future__ import annotations

from typing import Any

import pytest
from rows import each_row
from test_vendor_requests import made

from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.providers.base import Tally
from techsapo_ops.wallbounce.providers.wire import UNREADABLE

RESPONSE: dict[str, Any] = {
    "status": "completed",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "ディスクが一杯"}]}],
    "usage": {"input_tokens": 9, "output_tokens": 3},
}
MESSAGE: dict[str, Any] = {
    "content": [{"type": "text", "text": "ディスクが一杯"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 9, "output_tokens": 3},
}
READ = [("openai", RESPONSE, "output"), ("anthropic", MESSAGE, "content")]


@each_row("kind, reply, key", READ)
def test_text_and_tokens_are_read_and_what_is_no_count_or_of_another_shape_is_not(
    kind: str, reply: dict[str, Any], key: str
) -> None:
    read = made({"kind": kind, "model": "m"}).read
    found = read(reply, Tally())
    assert (found.text, found.tokens, found.complete) == ("ディスクが一杯", Tokens(9, 3), True)
    for counts in ({"input_tokens": 9, "output_tokens": "3"}, {"input_tokens": -9, "output_tokens": 3}):
        tally = Tally()
        assert read({**reply, "usage": counts}, tally).tokens is None
        assert tally.tokens is None
    for value in (None, 7, "text", [7], [{"text": "of no type"}]):
        with pytest.raises(UNREADABLE):
            read({**reply, key: value}, Tally())
