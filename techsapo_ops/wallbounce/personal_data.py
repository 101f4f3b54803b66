"""What tells of a person: mail addresses, telephone, card and individual numbers, names with 様 or さん."""

from __future__ import annotations

import re

from techsapo_ops.wallbounce.masking_rule import Rule, rule

_UNITS = (
    "service",
    "socket",
    "timer",
    "target",
    "mount",
    "automount",
    "device",
    "slice",
    "scope",
    "path",
    "swap",
)
_PROTOCOLS = ("openssh.com", "libssh.org", "lysator.liu.se", "ssh.com", "putty.projects.tartarus.org")
_ACCOUNT_NAMES = """
root admin administrator git hg svn deploy ubuntu debian ec2-user centos postgres mysql nginx
www-data ansible backup nobody daemon postmaster mailer-daemon noreply no-reply donotreply vagrant
pi oracle jenkins user
"""
_ACCOUNTS = frozenset(_ACCOUNT_NAMES.split())
_SURNAMES = (
    "佐藤|鈴木|高橋|田中|伊藤|渡辺|渡邊|渡邉|山本|中村|小林|加藤|吉田|山田|佐々木|山口|松本|井上|木村|斎藤|斉藤|齋藤|齊藤"
    "|清水|山崎|池田|阿部|橋本|山下|森|石川|前田|小川|藤田|岡田|後藤|長谷川|石井|村上|近藤|坂本|遠藤|青木|藤井|西村|福田"
    "|太田|三浦|藤原|岡本|松田|中川|中野|原田|小野|田村|竹内|金子|和田|中山|石田|上田|森田|原|柴田|酒井|工藤|横山|宮崎|宮本"
    "|内田|高木|安藤|谷口|大野|丸山|今井|高田|藤本|河野|武田|村田|上野|杉山|増田|平野|大塚|千葉|久保|松井|小島|岩崎|桜井"
    "|野口|松尾|木下|菊地|菊池|野村|新井|渡部|佐野|杉本|大西|古川|浜田|市川|小松|高野|水野|吉川|山内|西田|西川|北村|五十嵐"
    "|福島|安田|中田|平田|川口|東|川崎|本田|久保田|沢田|吉村|荒木|中西|黒田|関|関口|土屋|永井|樋口|松浦|星野|大久保|堀|馬場"
)


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


def _is_card(text: str) -> bool:
    digits = _digits(text)
    # Leading digits of the card brands; 13 digits are an old Visa, or a time stamp in milliseconds.
    likely = digits[0] == "4" if len(digits) == 13 else digits[0] in "23456"
    return likely and len(set(digits)) > 1 and luhn(digits)


def _is_my_number(text: str) -> bool:
    digits = _digits(text)
    return len(set(digits)) > 1 and my_number(digits)


def _is_phone(text: str) -> bool:
    digits = _digits(text)
    if text[0] in "+＋":
        return 8 <= len(digits) <= 15
    separated = any(c in text for c in "-‐－ー ()（）")
    if re.match(r"0[5789]0|0120|0800", digits):
        return len(digits) in (10, 11)
    return separated and len(digits) == 10


def _is_mail(text: str) -> bool:
    local, _, domain = text.replace("＠", "@").casefold().partition("@")
    if domain.rpartition(".")[2] in _UNITS or domain in _PROTOCOLS or local in _ACCOUNTS:
        return False
    return re.fullmatch(r"\w+-(?:cert-v\d+|nistp\d+|etm|gcm|poly1305|\d+)", local) is None


_DIGIT_END = r"(?![\d０-９]|-[\d０-９])"
_DIGIT_START = r"(?<![\d０-９.:/_-])"
_GAP = r"[ \-‐－ー　]?"
PERSONAL: tuple[Rule, ...] = (
    # Not behind a program that logs in, nor before a path: there it is an account on a host.
    rule(
        "EMAIL",
        r"(?<![\w.+/@-])([A-Za-z0-9][\w.+-]{0,63}[@＠](?:[A-Za-z0-9-]{1,63}\.){1,8}"
        r"[A-Za-z]{2,24})(?![\w-]|:[\w/~.]|\.\w)",
        _is_mail,
        "@ ＠",
    ).after(r"^(?!.*\b(?:ssh|scp|sftp|rsync|ssh-copy-id|mosh|git clone|sshd|autossh)\b[^|;]*$)"),
    rule("CARD", rf"({_DIGIT_START}[\d０-９](?:{_GAP}[\d０-９]){{12,18}}){_DIGIT_END}", _is_card),
    rule(
        "MY_NUMBER",
        rf"({_DIGIT_START}[\d０-９]{{4}}{_GAP}[\d０-９]{{4}}{_GAP}[\d０-９]{{4}}){_DIGIT_END}",
        _is_my_number,
    ),
    rule(
        "PHONE",
        rf"({_DIGIT_START}(?:[+＋][\d０-９]{{1,3}}[ \-‐－ー]?)?[(（]?[0０-９\d][\d０-９]{{0,4}}[)）]?"
        rf"[ \-‐－ー]?[(（]?[\d０-９]{{1,4}}[)）]?[ \-‐－ー]?[\d０-９]{{3,4}}"
        rf"(?:[ \-‐－ー][\d０-９]{{3,4}})?){_DIGIT_END}",
        _is_phone,
    ),
    rule(
        "NAME",
        rf"((?:{_SURNAMES})[ 　]?[一-龠々ぁ-んァ-ヶ]{{0,3}}?)"
        r"(?=[ 　]?(?:様|さま|さん|氏|殿|くん)(?![子式相々]))",
    ),
)
