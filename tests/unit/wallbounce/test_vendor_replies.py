from __future__ import annotations

from typing import Any

import pytest

from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.providers.anthropic import read_message
from techsapo_ops.wallbounce.providers.base import Tally
from techsapo_ops.wallbounce.providers.openai import read_response
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
READ = pytest.mark.parametrize(("read", "reply"), [(read_response, RESPONSE), (read_message, MESSAGE)])


@READ
def test_text_and_tokens_of_a_whole_reply_are_read(read: Any, reply: dict[str, Any]) -> None:
    found = read(reply, Tally())
    assert (found.text, found.tokens, found.complete) == ("ディスクが一杯", Tokens(9, 3), True)


@READ
@pytest.mark.parametrize(
    "counts", [{"input_tokens": 9, "output_tokens": "3"}, {"input_tokens": -9, "output_tokens": 3}]
)
def test_tokens_that_are_no_counts_are_not_believed(
    read: Any, reply: dict[str, Any], counts: dict[str, Any]
) -> None:
    tally = Tally()
    assert read({**reply, "usage": counts}, tally).tokens is None
    assert tally.tokens is None


@READ
@pytest.mark.parametrize("value", [None, 7, "text", [7], [{"text": "of no type"}]])
def test_a_reply_of_another_shape_raises_what_becomes_a_bad_answer(
    read: Any, reply: dict[str, Any], value: object
) -> None:
    key = "output" if "output" in reply else "content"
    with pytest.raises(UNREADABLE):
        read({**reply, key: value}, Tally())
