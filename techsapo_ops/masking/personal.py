"""What can be personal data: a mail address, a telephone, card or individual number."""

from __future__ import annotations

import re

_UNITS = frozenset(
    ("service", "socket", "timer", "target", "mount", "automount", "device", "slice", "scope", "path", "swap")
)
_PROTOCOLS = ("openssh.com", "libssh.org", "lysator.liu.se", "ssh.com", "putty.projects.tartarus.org")
_ACCOUNT_NAMES = """
root admin administrator git hg svn deploy ubuntu debian ec2-user centos postgres mysql nginx
www-data ansible backup nobody daemon postmaster mailer-daemon noreply no-reply donotreply vagrant
pi oracle jenkins user
"""
_ACCOUNTS = frozenset(_ACCOUNT_NAMES.split())


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


def _digits(text: str) -> str:
    # Full-width digits count too: int() and \d read them as digits.
    return "".join(str(int(c)) for c in text if c.isdigit())


def is_card(text: str) -> bool:
    """Whether it can be the number of a card."""
    digits = _digits(text)
    # Leading digits of the card brands; 13 digits are an old Visa, or a time stamp in milliseconds.
    likely = digits[0] == "4" if len(digits) == 13 else digits[0] in "23456"
    return likely and len(set(digits)) > 1 and luhn(digits)


def is_my_number(text: str) -> bool:
    """Whether it can be a Japanese individual number."""
    digits = _digits(text)
    return len(set(digits)) > 1 and my_number(digits)


def is_phone(text: str) -> bool:
    """Whether it can be a telephone number, with a country's code or as written in Japan."""
    digits = _digits(text)
    if text[0] in "+＋":
        return 8 <= len(digits) <= 15
    separated = any(c in text for c in "-‐－ー ()（）")
    if re.match(r"0[5789]0|0120|0800", digits):
        return len(digits) in (10, 11)
    return separated and len(digits) == 10


def is_mail(text: str) -> bool:
    """Whether it can be somebody's mail address: no unit of systemd, algorithm of SSH or role account."""
    local, _, domain = text.replace("＠", "@").casefold().partition("@")
    if domain.rpartition(".")[2] in _UNITS or domain in _PROTOCOLS or local in _ACCOUNTS:
        return False
    return re.fullmatch(r"\w+-(?:cert-v\d+|nistp\d+|etm|gcm|poly1305|\d+)", local) is None
