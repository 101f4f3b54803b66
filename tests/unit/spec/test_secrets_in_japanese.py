"""What a variable held is not told in another language either."""

from __future__ import annotations

from techsapo_ops.messages import Message, msg
from techsapo_ops.spec.wording import own_words

WORDS = {
    "{given} is no address: {why}; write a name": "{given} は宛先ではありません：{why}; 名前を",
    "{source} is not valid": "{source} は正しくありません",
}


def told(text: str) -> str:
    return text.said(lambda template: WORDS.get(template, template)) if isinstance(text, Message) else text


def test_a_reason_that_may_quote_a_secret_is_left_out() -> None:
    given = "hunter2:x"
    message = msg("{given} is no address: {why}; write a name", given=repr(given), why="there is no hunter2")
    text, hint = own_words(message, given, ("SECRET",))
    assert (text, hint) == ("the value of ${SECRET} is not valid", "write a name")
    assert "hunter2" not in told(text)
    assert told(text).endswith("は正しくありません")
    assert told(hint).strip() == "名前を"
    text, _ = own_words(message, given, None)
    assert told(text).endswith("：there is no hunter2")


def test_a_number_from_a_variable_is_not_told_by_the_hint() -> None:
    message = msg("'{number}' is not a duration; write the unit too, e.g. {number}s", number=424242)
    assert "424242" not in "".join(own_words(message, "424242", ("SECRET",)))
