"""PyYAML's syntax errors in words that name the cure."""

from __future__ import annotations

import yaml

_WORDS: tuple[tuple[str, str, str], ...] = (
    # part of PyYAML's or libyaml's message, what is wrong, what to try
    (
        "mapping values are not allowed",
        "a second `: ` on one line",
        "put the value in quotes, or indent like the lines around",
    ),
    (
        "could not find expected ':'",
        "this line is no `key: value`",
        "add the `:` and a space, or indent it below its key",
    ),
    (
        "block sequence entries are not allowed",
        "a list entry can't start here",
        "start each `- ` on a line of its own",
    ),
    ("unexpected end of stream", "the quote that starts here is never closed", "add the closing quote"),
    ("unexpected document separator", "the quote that starts here is never closed", "add the closing quote"),
    (
        "found unknown escape character",
        "an unknown escape in double quotes",
        "use single quotes, or write \\\\ for a backslash",
    ),
    (
        "did not find expected hexdecimal",
        "an unfinished escape in double quotes",
        "use single quotes, or write \\\\ for a backslash",
    ),
    (
        "expected ',' or ']'",
        "the list that starts here is not closed, or a `,` is missing in it",
        "check its brackets and commas",
    ),
    (
        "expected ',' or '}'",
        "the braces that start here are not closed, or a `,` is missing in them",
        "check braces and commas; quote text that holds {",
    ),
    (
        "did not find expected '-' indicator",
        "this line does not belong to the list above it",
        "indent it like its neighbours",
    ),
    (
        "did not find expected key",
        "this line does not fit what is above it",
        "indent it like its neighbours, and check quotes above it",
    ),
    (
        "expected <block end>",
        "this line does not fit what is above it",
        "indent it like its neighbours, and check quotes above it",
    ),
    (
        "expected <document start>",
        "this line does not fit what is above it",
        "check quotes and brackets above it",
    ),
    (
        "did not find expected node content",
        "a value is missing here",
        "write the value, or remove the sign before this place",
    ),
    (
        "expected the node content",
        "a value is missing here",
        "write the value, or remove the sign before this place",
    ),
    (
        "chomping or indentation indicators",
        "after | or > the text starts on the next line",
        "put the value in quotes",
    ),
    (
        "expected a comment or a line break",
        "after | or > the text starts on the next line",
        "put the value in quotes",
    ),
    (
        "expected comment or line break",
        "after | or > the text starts on the next line",
        "put the value in quotes",
    ),
    ("unknown directive", "a line can't start with %", "put the value in quotes"),
    ("maximum nesting depth", "nested too deeply", "a spec has a handful of levels"),
    (
        "alphabetic or numeric character",
        "& and * need a name right behind them",
        "put the value in quotes if it is text",
    ),
)
_FROM_THE_START = (
    "unexpected end of stream",
    "unexpected document separator",
    "expected ',' or",
    "could not find expected ':'",
)
_VARIABLE_HINT = 'inside braces and brackets put variables in quotes: "${NAME}"'


def explain_syntax(error: yaml.YAMLError, text: str) -> tuple[int, int, str, str]:
    """Line, column, message and hint for an error that PyYAML raised over `text`."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return 1, 1, "this is not YAML", "check the file from its start"
    problem = str(error.problem or "")
    mark = error.problem_mark
    lines = text.split("\n")
    tab = _tab_near(lines, mark.line)
    if tab is not None:
        return *tab, "a tab in the indentation", "YAML takes spaces only"
    start = error.context_mark
    if start is not None and any(part in problem for part in _FROM_THE_START):
        mark = start
    line = lines[mark.line] if mark.line < len(lines) else ""
    message, hint = _words(problem, line, mark.column)
    if "expected ',' or" in problem and "${" in "\n".join(lines[mark.line : error.problem_mark.line + 1]):
        hint = _VARIABLE_HINT
    elif "node content" in problem and not "".join(lines[mark.line :]).strip():
        message, hint = "the file ends in the middle of a value", "close the bracket or brace"
    return mark.line + 1, mark.column + 1, message, hint


def _tab_near(lines: list[str], number: int) -> tuple[int, int] | None:
    for n in (number, number - 1):
        if 0 <= n < len(lines):
            indent = lines[n][: len(lines[n]) - len(lines[n].lstrip(" \t"))]
            if "\t" in indent and lines[n].strip():
                return n + 1, indent.index("\t") + 1
    return None


def _words(problem: str, line: str, column: int) -> tuple[str, str]:
    if "mapping values are not allowed" in problem and ": " not in line[:column]:
        return "this line is indented deeper than the one above it allows", "indent it like its neighbours"
    for part, message, hint in _WORDS:
        if part in problem:
            return message, hint
    if "cannot start any token" in problem:
        character = line[column] if column < len(line) else ""
        if character == "\t":
            return "a tab can't stand here", "YAML takes spaces only"
        return f"text can't start with {character}", "put the value in quotes"
    return f"this is not YAML: {problem}", "put values with special characters in quotes"
