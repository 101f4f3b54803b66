"""Little languages within commands: what of awk, sed and others only reads."""

from __future__ import annotations

import re

_AWK_TOKEN = re.compile(
    r"""(?P<text>"(?:\\[^\n]|[^"\\\n])*")|(?P<word>[A-Za-z_]\w*)|(?P<number>\d[\w.]*)"""
    r"""|(?P<blank>[ \t]+)|(?P<sign>\|\||>=|.|\n)"""
)
_AWK_REGEX = re.compile(r"/(?:\\[^\n]|\[\^?\]?[^\]/\\\n]*\]|[^/\\\n\[])+/")
_AWK_RUNS = frozenset({"system", "getline", "close", "fflush"})
_AWK_ENDS_NO_VALUE = frozenset(["print", "printf", "return", "else", "do", "in", "case", "delete", "exit"])
_AWK_REFUSED = frozenset('@`\\"#')
_SED_SIMPLE = "pPdDgGhHxnN=lz"


def awk_reads(program: str) -> bool:
    """Whether an awk program only computes and prints: no command, pipe, file or other input."""
    at = braces = parens = 0
    before = ""
    while at < len(program):
        if program[at] == "/" and (not before or before in "(,~!{};&|\n" or before == "||"):
            regex = _AWK_REGEX.match(program, at)
            if regex is None:
                return False
            at, before = regex.end(), "0"
            continue
        token = _AWK_TOKEN.match(program, at)
        if token is None:
            return False
        text, kind = token[0], token.lastgroup
        at = token.end()
        if kind == "blank":
            continue
        if text in _AWK_RUNS or text in _AWK_REFUSED or text == "|":
            return False
        if text == "/" and (before in _AWK_ENDS_NO_VALUE or (before == ")" and "/" in program[at:])):
            return False  # it may begin a regular expression, which nothing before it tells
        if text == ">" and braces and not parens:
            return False
        if kind == "sign":
            braces += (text == "{") - (text == "}")
            parens += (text in "([") - (text in ")]")
            if braces < 0 or parens < 0:
                return False
        before = "0" if kind in ("text", "number") else text
    return braces == parens == 0


def sed_reads(script: str) -> bool:
    """Whether a sed script only edits what flows through it: no file is written and no command run."""
    return _Sed(script).reads()


class _Sed:
    def __init__(self, script: str) -> None:
        self.script, self.at = script, 0

    def reads(self) -> bool:
        while True:
            self._skip(" \t\n;{}")
            if self.at >= len(self.script):
                return True
            if not (self._address() and self._command()):
                return False

    def _peek(self) -> str:
        return self.script[self.at : self.at + 1]

    def _skip(self, signs: str) -> None:
        while self._peek() and self._peek() in signs:
            self.at += 1

    def _address(self) -> bool:
        for _ in range(2):
            sign = self._peek()
            if sign == "/" or sign == "\\":
                self.at += sign == "\\"
                if not self._delimited(1):
                    return False
                self._skip("IM")
            else:
                self._skip("0123456789$~+")
            self._skip(" \t")
            if self._peek() != ",":
                break
            self.at += 1
            self._skip(" \t")
        self._skip(" \t!")
        return True

    def _delimited(self, parts: int) -> bool:
        """Go past /…/ or, with two parts, /…/…/ of whatever delimiter stands here."""
        mark = self._peek()
        if not mark or mark in "\\\n":
            return False
        self.at += 1
        while parts:
            sign = self._peek()
            if not sign or sign == "\n":
                return False
            self.at += 2 if sign == "\\" else 1
            parts -= sign == mark
        return True

    def _command(self) -> bool:
        sign = self._peek()
        self.at += 1
        if sign in ("{", "}"):
            return True
        if sign and sign in _SED_SIMPLE:
            return self._ends()
        if sign in ("q", "Q"):
            self._skip(" 0123456789")
            return self._ends()
        if sign == "s":
            if not self._delimited(2):
                return False
            self._skip("gpiIM0123456789")
            return self._ends()
        if sign == "y":
            return self._delimited(2) and self._ends()
        return False

    def _ends(self) -> bool:
        self._skip(" \t")
        return not self._peek() or self._peek() in ";}\n{"
