"""What can be a secret or personal data, and what only stands where one would: a word, a variable, a path."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from techsapo_ops.catalogue.yaml_text import packaged_yaml

TABLE = "masking.yaml"
"""The file of the catalogue with the rules."""
_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z_]{2,15}_\d{1,6}\]")
_NOT_A_VALUE = re.compile(
    r"""(?ix)
    [$%][\w{(].*                    # $VAR, ${VAR}, $(command), %VAR%, %s
    | [\{<(\[].*                    # {{ template }}, <password>, (empty), [redacted]
    | [!:]\w.*                      # !vault, !Ref, token::get
    | [*xX•・.…_#-]{2,}             # *****, xxxx, …
    | (?:~|\.{1,2})?/(?!/)[\w.@~+-]+(?:/.*)?   # a path
    | [a-z]:\\.*
    | (?-i:[a-z_][a-z\d_.-]*(?:/[a-z_][a-z\d_.-]*)+\#?[a-z_]*)   # secret/data/app, projects/x/secrets/y
    | (?:var|local|data|module|self|this|os|process|env|config|settings|req|request|params|args|opts|options
        |secrets|vault|each|inputs|github|values|ctx|context|app|cfg|conf)(?:\.|\[).*
    | [a-z_]\w*(?:\.\w+)*\(.*       # a call
    | (?:arn|vault|ssm|sm|op|awssm|gcpsm|azkv|keyvault|file|env|docker|secretref|valuefrom|https?)[:].*
    | (?:enc|vault)\[.*
    | (?:sha|md|aes|rsa|hmac|scram|rs|hs|es|ps|utf|base|argon|ed|ecdsa|tls|ssl|oauth|x)[-_]?\d{1,4}
        (?:[-_/](?:sha|gcm|cbc|hashed|encoded|\d)\w*){0,3}
    | sha256:[\w+/=]*
    | (?:\d+:)?\d+(?:\.\d+){1,4}[\w.+~:-]*   # a version
    | your[-_ ]?\w*
    | [-+]?\d{1,3}(?:[.,]\d+)?[%a-z]{0,2}
    """
)
_IDENTIFIERS = re.compile(r"[a-z_]+(?:\.[a-z_]+)+|[a-z]+(?:[-_][a-z]+){1,6}", re.IGNORECASE)
_NO_WORD = re.compile(r"[=/$(<`|]")
_MARK = re.compile(r"[^\w.,:;/-]|_")
_UNITS = frozenset(
    ("service", "socket", "timer", "target", "mount", "automount", "device", "slice", "scope", "path", "swap")
)
_PROTOCOLS = ("openssh.com", "libssh.org", "lysator.liu.se", "ssh.com", "putty.projects.tartarus.org")


@cache
def table() -> Mapping[str, Any]:
    """What masking.yaml holds."""
    read: Mapping[str, Any] = packaged_yaml(TABLE)
    return read


@cache
def _words(name: str) -> frozenset[str]:
    return frozenset(table()[name].split())


def placeholder_in(value: str) -> bool:
    """Whether `value` holds what masking puts in a secret's place."""
    return _PLACEHOLDER.search(value) is not None


def possible(value: str) -> bool:
    """Whether a value that stands where a secret belongs can be one: no word, variable, path or call."""
    word = value.strip(".,:;!?)]}。、").casefold()
    if not word or word in _words("no_secrets") or placeholder_in(value):
        return False
    return len(value) > 1 and not _NOT_A_VALUE.fullmatch(value)


def strong(value: str) -> bool:
    """Whether `value` looks like a secret by itself: not like a word, a number, a name or an identifier."""
    bare = value.strip(".,:;!?。、*_")
    if len(bare) < 5 or (bare.isalpha() and bare.islower()):
        return False
    lower, upper = any(map(str.islower, bare)), any(map(str.isupper, bare))
    if any(map(str.isdigit, bare)) or _MARK.search(bare):
        mixed = lower or upper
    else:
        mixed = lower and upper and not bare.istitle() and not re.fullmatch(r"(?:[A-Z]?[a-z]+){1,4}", bare)
    return mixed and possible(bare) and not _IDENTIFIERS.fullmatch(bare)


def digits_or_strong(value: str) -> bool:
    """Whether `value` is `strong`, or a number long enough for one."""
    return strong(value) or (value.isdecimal() and len(value) >= 4)


def long_random(value: str) -> bool:
    """Whether `value` is made by a machine: 16 characters and more, of letters and digits."""
    return len(value) >= 16 and strong(value) and any(c.isdigit() for c in value)


def basic_login(value: str) -> bool:
    """Whether `value` is base64 of `user:password`."""
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return b":" in decoded and all(32 <= byte < 127 or byte >= 0x80 for byte in decoded)


def in_a_sentence(value: str) -> bool:
    """Whether a sentence's word is a secret: no assignment, path or variable."""
    bare = value.strip(".,:;!?。、*_")
    if value[0] in "-*" or _NO_WORD.search(value) or not strong(bare):
        return False
    if re.search(r"[!@#%^&*+~?]", bare):
        return True
    return (
        re.fullmatch(r"(?=.*[a-z])(?=.*\d)[A-Za-z0-9]{6,}|(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[\w-]{8,}", bare)
        is not None
    )


def mixed_case(value: str) -> bool:
    """Whether `value` is `strong` and has capitals, as a hash of crypt(3) does."""
    return strong(value) and value.lower() != value


def credential(value: str) -> bool:
    """Whether `value` can be what an Authorization header holds: `strong`, or long."""
    return strong(value) or (len(value) >= 12 and possible(value))


def long_or_strong(value: str) -> bool:
    """Whether `value` can be the key of a router: of 6 characters and more, or `digits_or_strong`."""
    return (possible(value) and len(value) >= 6) or digits_or_strong(value)


def strong_word(value: str) -> bool:
    """Whether `value` is `strong`, and neither an assignment nor a path."""
    return strong(value) and "=" not in value and "/" not in value


def possible_password(value: str) -> bool:
    """Whether the part behind the last colon of `user:password` is `possible`."""
    return possible(value.rpartition(":")[2])


def no_mechanism(value: str) -> bool:
    """Whether `value` is `possible`, and no mechanism of SASL, which follows AUTH in SMTP."""
    if value in {"LOGIN", "PLAIN", "XOAUTH2", "NTLM", "GSSAPI", "TLS"}:
        return False
    return possible(value) and not value.startswith(("CRAM", "DIGEST", "SCRAM"))


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
    if domain.rpartition(".")[2] in _UNITS or domain in _PROTOCOLS or local in _words("accounts"):
        return False
    return re.fullmatch(r"\w+-(?:cert-v\d+|nistp\d+|etm|gcm|poly1305|\d+)", local) is None
