"""Messages about incidents on their way: Slack's bot, plain webhooks, and who takes none."""

from __future__ import annotations

import pytest
from slack import incoming_webhook
from slack_bot import CHANNEL, TOKEN, slack_api

from techsapo_ops.errors import OpsError
from techsapo_ops.serve.incidents.sending import LONGEST, SLACK, SlackBot, Webhook, escaped, messenger_of
from techsapo_ops.spec.models.investigate import Investigate

LINK = "https://techsapo.example.com/incidents?id=1"
HOSTILE = "Incident 1: <!channel> <@U123> <https://evil.example|click> & *bold* 遅い\n• [L1] x > y"
SHOWN = HOSTILE.replace("@", "@\N{ZERO WIDTH SPACE}")


def test_a_slack_bot_posts_once_and_then_changes_that_message() -> None:
    with slack_api() as slack:
        bot = SlackBot(TOKEN, CHANNEL, slack.url)
        called = bot.send(HOSTILE, "", LINK)
        assert bot.send("the verdict", called, "") == called
        assert slack.history == [("chat.postMessage", f"{SHOWN}\n<{LINK}>"), ("chat.update", "the verdict")]
        assert slack.channel == {called: "the verdict"}
        bot.send("x" * 50_000, "", "")
        assert len(slack.history[-1][1]) == LONGEST
        assert slack.refused == []


def test_what_slack_refuses_is_told_without_the_token() -> None:
    with slack_api() as slack:
        for token, channel, before, why in (
            ("wrong", CHANNEL, "", "invalid_auth"), (TOKEN, "C0", "", "channel_not_found"),
            (TOKEN, CHANNEL, "1.2", "message_not_found"),
        ):  # fmt: skip
            with pytest.raises(OpsError, match=why) as caught:
                SlackBot(token, channel, slack.url).send("x", before, "")
            assert token not in str(caught.value)
        slack.limited = True
        with pytest.raises(OpsError, match="ratelimited"):
            SlackBot(TOKEN, CHANNEL, slack.url).send("x", "", "")


def test_a_plain_webhook_gets_each_message() -> None:
    with incoming_webhook() as slack:
        webhook = Webhook(slack.url)
        assert webhook.send(HOSTILE, "", LINK) == ""
        assert webhook.send("the verdict", "", "") == ""
        assert [message.text for message in slack.messages] == [f"{SHOWN}\n{LINK}", "the verdict"]
        with pytest.raises(OpsError, match="HTTP 404"):
            Webhook(f"{slack.url}x").send("x", "", "")


def test_a_webhook_of_mattermost_calls_nobody_and_hides_no_address() -> None:
    shown = escaped("@channel (@all) _@here [ok](http://evil) taro@example.com a[1] ( @ noon")
    assert shown.replace("\u200b", "|") == (
        "@|channel (@|all) _@|here [ok]|(http://evil) taro@example.com a[1] ( @ noon"
    )


def test_nobody_there_is_told_without_the_address() -> None:
    with pytest.raises(OpsError, match="the message may not have arrived") as caught:
        Webhook("http://127.0.0.1:1/services/secret").send("x", "", "")
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_the_bot_comes_before_the_webhook_and_without_either_nobody_is_told() -> None:
    slack = {"token": TOKEN, "channel": CHANNEL}
    both = Investigate.model_validate({"slack": slack, "webhook": "https://hooks.example/x"})
    assert messenger_of(both) == SlackBot(TOKEN, CHANNEL, SLACK)
    assert messenger_of(Investigate.model_validate({"webhook": "https://a.example"})) == Webhook(
        "https://a.example"
    )
    assert messenger_of(Investigate()) is None
