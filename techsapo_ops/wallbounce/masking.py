"""Takes secrets and personal data out of text. Pure; what looks like a number of some kind must prove it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_Check = Callable[[re.Match[str]], bool]


@dataclass(frozen=True, slots=True)
class Masked:
    """`text` with each find replaced by `[KIND]`, and how many there were of each kind."""

    text: str
    found: Mapping[str, int]


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of ISO/IEC 7812 (cards)."""
    total = 0
    for n, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if n % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def my_number(digits: str) -> bool:
    """Whether 12 digits are an individual number: the check digit of the Japanese ministerial ordinance
    (総務省令第85号, 2014): 11 - (Σ P·Q mod 11), 0 where the remainder is 0 or 1.
    """
    body, check = [int(d) for d in digits[:11]], int(digits[11])
    weights = [n + 1 if n <= 6 else n - 5 for n in range(1, 12)]
    rest = sum(p * q for p, q in zip(reversed(body), weights, strict=True)) % 11
    return check == (0 if rest <= 1 else 11 - rest)


def _digits(match: re.Match[str]) -> str:
    # Full-width digits count too: int() and \d read them as digits.
    return "".join(str(int(c)) for c in match[0] if c.isdigit())


def _is_card(match: re.Match[str]) -> bool:
    digits = _digits(match)
    # Leading digits of the card brands; 13 digits are an old Visa, or a time stamp in milliseconds.
    likely = digits[0] == "4" if len(digits) == 13 else digits[0] in "23456"
    return likely and len(set(digits)) > 1 and luhn(digits)


def _is_my_number(match: re.Match[str]) -> bool:
    digits = _digits(match)
    return len(set(digits)) > 1 and my_number(digits)


def _is_phone(match: re.Match[str]) -> bool:
    digits, text = _digits(match), match[0]
    if text[0] in "+＋":
        return 8 <= len(digits) <= 15
    separated = any(c in text for c in "-‐－ー ()（）")
    if re.match(r"0[5789]0|0120|0800", digits):
        return len(digits) in (10, 11)
    return separated and len(digits) == 10


_DIGIT_END = r"(?![\d０-９]|-[\d０-９])"
_DIGIT_START = r"(?<![\d０-９.:/_-])"
_GAP = r"[ \-‐－ー　]?"

_RULES: tuple[tuple[str, re.Pattern[str], _Check | None], ...] = (
    (
        "PRIVATE_KEY",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----"
            r"(?:(?!-----END)[\s\S]){0,20000}(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY-----)?"
        ),
        None,
    ),
    ("TOKEN", re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"), None),
    (
        "API_KEY",
        re.compile(
            r"\b(?:tsk_[0-9a-f]{12}_[\w-]{43}|sk-(?:ant-|or-|proj-)?[\w-]{16,}|AIza[\w-]{30,}"
            r"|(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{16,}"
            r"|xox[abeoprs]-[\w-]{10,}|hf_[A-Za-z0-9]{30,}|pypi-[\w-]{40,}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"
            r"|SG\.[\w-]{16,}\.[\w-]{16,})"
        ),
        None,
    ),
    (
        "WEBHOOK",
        re.compile(r"https://(?:hooks\.slack\.com|discord(?:app)?\.com/api/webhooks)/[^\s\"'<>]+"),
        None,
    ),
    ("PASSWORD", re.compile(r"(?<=://)[^\s/:@]{0,128}:[^\s/@]{1,256}(?=@)"), None),
    ("TOKEN", re.compile(r"(?i)(?<=\bbearer )[\w.~+/-]{8,}=*"), None),
    ("TOKEN", re.compile(r"(?i)(?<=\bbasic )[A-Za-z0-9+/]{8,}={0,2}"), None),
    (
        "SECRET",
        re.compile(
            r"(?i)\b((?:[\w-]{0,40}(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|token)|pwd)"
            r"[\"']?\s{0,3}[:=]\s{0,3})(?!\[)(\"[^\"\n]{1,400}\"|'[^'\n]{1,400}'|[^\s\"',;&]{1,400})"
        ),
        None,
    ),
    (
        "SECRET",
        re.compile(
            r"((?:パスワード|暗証番号|秘密鍵|トークン)\s{0,3}(?:[:：=＝]|は)\s{0,3})(?!\[)([!-~]{4,400})"
        ),
        None,
    ),
    (
        "EMAIL",
        re.compile(r"[A-Za-z0-9][\w.+-]{0,63}[@＠](?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b"),
        None,
    ),
    (
        "CARD",
        re.compile(rf"{_DIGIT_START}[\d０-９](?:{_GAP}[\d０-９]){{12,18}}{_DIGIT_END}"),
        _is_card,
    ),
    (
        "MY_NUMBER",
        re.compile(rf"{_DIGIT_START}[\d０-９]{{4}}{_GAP}[\d０-９]{{4}}{_GAP}[\d０-９]{{4}}{_DIGIT_END}"),
        _is_my_number,
    ),
    (
        "PHONE",
        re.compile(
            rf"{_DIGIT_START}(?:[+＋][\d０-９]{{1,3}}[ \-‐－ー]?)?[(（]?[0０-９\d][\d０-９]{{0,4}}[)）]?"
            rf"[ \-‐－ー]?[(（]?[\d０-９]{{1,4}}[)）]?[ \-‐－ー]?[\d０-９]{{3,4}}"
            rf"(?:[ \-‐－ー][\d０-９]{{3,4}})?{_DIGIT_END}"
        ),
        _is_phone,
    ),
)
_WORTH_A_LOOK = re.compile(
    r"[@＠]|[\d０-９]{3}|-----BEGIN|eyJ|://|[:=：＝は]|(?i:bearer|basic)|[A-Za-z0-9_-]{16}"
)


def mask(text: str) -> Masked:
    """`text` without secrets and personal data.

    Masked are private keys, vendors' API keys and ours, JSON web tokens, bearer and basic credentials,
    passwords in URLs and in `password=…`, webhook addresses, e-mail addresses, card numbers (Luhn), My
    Number (its check digit), and phone numbers in the Japanese and the international form.
    """
    if not _WORTH_A_LOOK.search(text):
        return Masked(text, {})
    found: Counter[str] = Counter()
    for kind, pattern, check in _RULES:

        def replacement(match: re.Match[str], kind: str = kind, check: _Check | None = check) -> str:
            if check is not None and not check(match):
                return match[0]
            found[kind] += 1
            kept = match[1] if match.re.groups else ""
            return f"{kept}[{kind}]"

        text = pattern.sub(replacement, text)
    return Masked(text, dict(found))
