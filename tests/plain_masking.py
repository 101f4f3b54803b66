"""Masking without a shortcut, slow and plain: each rule is tried at every place of a text, and every text is
looked through as a whole until nothing changes. And the texts on which the two are compared.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator

from recall import CASES, labelled

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.masking import MaskLevel
from techsapo_ops.masking.fields import manifest_spans
from techsapo_ops.masking.masker import (
    LOOK_BACK,
    MOST_REPEATED,
    MOST_ROUNDS,
    Rule,
    masking_rules,
)
from techsapo_ops.masking.values import possible, strong

Find = tuple[int, int, str]
TEXTS = 3500
_PLACEHOLDER = re.compile(r"\[([A-Z][A-Z_]{2,15})_(\d{1,6})\]")
_TAIL = re.compile(r"[\s),\]};|&`>。、」.:?!\\]{1,16}$")
_ODD = {"s": "\u017f", "k": "\u212a", "i": "\u0130"}
_BESIDE = ("\n", "\n", "\n", " ", "", "\n\n", "\r\n", ": ", "=", '"', "'", "\\n", "　", "、")
_WITHIN = "\u0130\u0131\u017fK\u212a\ud800\0\x85\u2028 」。"
_BEFORE = ("    ", "> ", "$ ", "  - ", "# ", "\t", "password: ", "「")


class PlainMasker:
    """As Masker."""

    def __init__(self, level: MaskLevel) -> None:
        self._rules = masking_rules()[level]
        self._names: dict[str, str] = {}
        self._numbers: Counter[str] = Counter()

    def mask(self, text: str) -> str:
        """`text` masked."""
        for _ in range(MOST_ROUNDS):
            before, text = text, self._once(text)
            if text == before:
                break
        return text

    def _once(self, text: str) -> str:
        taken = []
        for match in _PLACEHOLDER.finditer(text):
            taken.append(match.span())
            self._numbers[match[1]] = max(self._numbers[match[1]], int(match[2]))
        finds = [(*span, rule.kind) for rule in self._rules for span in plain_spans(rule, text)]
        chosen = _apart([*finds, *((*span, "SECRET") for span in manifest_spans(text))], taken)
        for start, end, kind in chosen:
            self._name(text[start:end], kind)
        parts, last = [], 0
        for start, end, kind in _apart([*chosen, *self._repeated(text)], taken):
            parts += [text[last:start], self._name(text[start:end], kind)]
            last = end
        return "".join((*parts, text[last:]))

    def _name(self, value: str, kind: str) -> str:
        if value not in self._names:
            self._numbers[kind] += 1
            self._names[value] = f"[{kind}_{self._numbers[kind]}]"
        return self._names[value]

    def _repeated(self, text: str) -> Iterator[Find]:
        known = [v for v in self._names if len(v) >= 6 and "\n" not in v and strong(v)][:MOST_REPEATED]
        words = "|".join(re.escape(v) for v in sorted(known, key=len, reverse=True)) or "(?!)"
        for match in re.finditer(rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])", text):
            yield *match.span(), ""


def plain_spans(rule: Rule, text: str) -> Iterator[tuple[int, int]]:
    """What `rule` finds in `text`: everywhere, or on each line that holds one of its words."""
    start = 0
    for line in text.split("\n") if rule.near else (text,):
        if not rule.near or any(word in line.lower() for word in rule.near):
            for match in rule.pattern.finditer(line):
                yield from ((start + begin, start + end) for begin, end in _found(rule, line, match))
        start += len(line) + 1


def _found(rule: Rule, text: str, match: re.Match[str]) -> Iterator[tuple[int, int]]:
    if rule.before is not None:
        line = text.rfind("\n", 0, match.start()) + 1
        if not rule.before.search(text[max(line, match.start() - LOOK_BACK) : match.start()]):
            return
    for group in range(1, rule.pattern.groups + 1):
        if match[group] is None:
            continue
        spans = [match.span(group)]
        if rule.each is not None:
            spans = [one.span(one.lastindex or 0) for one in rule.each.finditer(text, *spans[0])]
        for start, end in spans:
            in_quotes = start > 0 and text[start - 1] in "\"'「『"
            value = text[start:end] if in_quotes else _TAIL.sub("", text[start:end])
            check = rule.quoted if in_quotes and rule.quoted is not None else rule.check
            if value and (check is None or check(value)):
                yield start, start + len(value)


def _apart(finds: list[Find], taken: list[tuple[int, int]]) -> list[Find]:
    apart: list[Find] = []
    for start, end, kind in sorted(finds, key=lambda find: (find[0], -find[1])):
        over = any(start < stop and begin < end for begin, stop in taken)
        if not over and (not apart or start >= apart[-1][1]):
            apart.append((start, end, kind))
    return apart


def plain_strong(value: str) -> bool:
    """`strong`, a character at a time."""
    bare = value.strip(".,:;!?。、*_")
    identifier = re.fullmatch(r"[a-z_]+(?:\.[a-z_]+)+|[a-z]+(?:[-_][a-z]+){1,6}", bare, re.IGNORECASE)
    if len(bare) < 5 or not possible(bare) or identifier:
        return False
    lower, upper = any(c.islower() for c in bare), any(c.isupper() for c in bare)
    if (lower or upper) and any(c.isdigit() or re.match(r"[^\w.,:;/-]|_", c) for c in bare):
        return True
    return lower and upper and not bare.istitle() and not re.fullmatch(r"(?:[A-Z]?[a-z]+){1,4}", bare)


def texts() -> Iterator[str]:
    """TEXTS texts, the same each time: the labelled lines, whole, in parts, changed and beside each other."""
    lines = sorted({case["line"] for path in CASES.glob("masking*.yaml") for case in labelled(path)})
    personal = read_yaml((CASES / "masking.yaml").read_text(encoding="utf-8"))["personal"]
    lines += [case["text"] for case in personal]
    yield "\n".join(lines)
    yield from lines
    draw = random.Random(37)
    for _ in range(TEXTS - 1 - len(lines)):
        count = draw.choice((1, 1, 1, 2, 3))
        yield "".join(_changed(draw, draw.choice(lines)) + draw.choice(_BESIDE) for _ in range(count))


def _changed(draw: random.Random, line: str) -> str:
    place = draw.randrange(len(line) + 1)
    match draw.randrange(16):
        case 0:
            return line[place:]
        case 1:
            return line[:place]
        case 2:
            return line.upper()
        case 3:
            return "".join(_ODD.get(sign, sign) for sign in line)
        case 4:
            return line[:place] + draw.choice(_WITHIN) + line[place:]
        case 5:
            return draw.choice(_BEFORE) + line
        case 6:
            return line + draw.choice(_WITHIN) * 20
        case 7:
            return f"{line} [SECRET_{place}]"
    return line
