"""Which addresses of e-mail there are: those that Alertmanager can send to, and no typo."""

from __future__ import annotations

from rows import each_row

from techsapo_ops.spec.models.notifications import domains


@each_row(
    "text, found",
    [
        ("ops@example.com", ["example.com"]),
        ("Ops <ops@example.com>", ["example.com"]),
        ('"Doe, John" <john@example.com>, ops@example.org', ["example.com", "example.org"]),
        ("当番 <ops@example.com>", ["example.com"]),
        ("root@localhost", ["localhost"]),
        ('"a b"@example.com', ["example.com"]),
        ("ops@[192.0.2.1]", []),
        ("ops+night@例え.jp", ["例え.jp"]),
        ("ops@example.com,", ["example.com"]),
        ("a@example.com,, b@example.com", ["example.com", "example.com"]),
        ("", []),
        (",", []),
        ("ops", []),
        ("ops@", []),
        ("@example.com", []),
        ("ops@example.com oncall@example.com", []),
        ("ops@example.com; oncall@example.com", []),
        ("ops@@example.com", []),
        ("ops@exam ple.com", []),
        ("ops @example.com", []),
        ("Ops <ops@example.com", []),
        ("ops@example.com\nBcc: all@example.com", []),
        ("ops@example.com\r", []),
    ],
)
def test_a_text_is_addresses_or_none(text: str, found: list[str]) -> None:
    assert domains(text) == found
