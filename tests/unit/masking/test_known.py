"""Secrets that are known by their value: each is masked wherever it stands, in a text of any kind."""

from __future__ import annotations

from rows import each_row

from techsapo_ops.masking.fields import masked_fields, secret_values, url_secrets
from techsapo_ops.masking.search import KnownSecrets


@each_row(
    "text, masked, count",
    [
        ("", "", 0),
        ("hunter2, hunter2hunter2", "*, **", 3),
        ("abcdefghij", "*", 1),
        ("abcdef, efghij", "*ef, *", 2),
        ("\ud800 鍵 hunter2 İ", "\ud800 鍵 * İ", 1),
        ("abc", "abc", 0),
    ],
    ids=["nothing", "one after the other", "overlapping", "beside", "beside what UTF-8 can't hold", "short"],
)
def test_nothing_is_left_of_a_known_secret(text: str, masked: str, count: int) -> None:
    secrets = KnownSecrets(["hunter2", "abcd", "cdefghij", "efghij", "abc"])
    assert secrets.masked(text, "*") == (masked, count)


def test_no_secret_at_all_leaves_a_text_as_it_is() -> None:
    assert KnownSecrets(["x", ""]).masked("x and y", "*") == ("x and y", 0)


def test_fields_that_sound_secret_are_masked_by_the_rule_by_which_their_values_are_found() -> None:
    data = {
        "authorization": {"type": "Bearer", "credentials": "b3arer"},
        "oauth": [{"client_secret": 4711, "token_url": "https://login.example.com/"}],
        "budget_tokens": 1024, "routing_key_file": "f", "send_resolved": True, "api_key": "{{ key }}",
    }  # fmt: skip
    assert list(secret_values(data)) == ["b3arer", "4711"]
    assert masked_fields(data) == {
        "authorization": {"type": "Bearer", "credentials": "********"},
        "oauth": [{"client_secret": "********", "token_url": "https://login.example.com/"}],
        "budget_tokens": 1024, "routing_key_file": "f", "send_resolved": True, "api_key": "{{ key }}",
    }  # fmt: skip


@each_row("url", ["http://127.0.0.1:5001/api/v1/alerts", "redis://cache.example.com:6379/0"])
def test_the_common_words_of_an_address_are_no_secrets(url: str) -> None:
    assert list(url_secrets(url)) == []
