"""PyYAML's syntax errors in words that name the cure."""

from __future__ import annotations

import yaml

from techsapo_ops.messages import msg

_UNFIT = msg("this line does not fit the lines above it")
_QUOTES = msg("put the value in quotes")
_WORDS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    # parts of PyYAML's or libyaml's messages, what is wrong, what to try
    (
        ("mapping values are not allowed",),
        msg("a second `: ` on one line"),
        msg("put the value in quotes, or indent the line like the lines around it"),
    ),
    (
        ("could not find expected ':'",),
        msg("this line is not a `key: value` pair"),
        msg("add the `:` and a space, or indent the line below its key"),
    ),
    (
        ("unexpected end of stream", "unexpected document separator"),
        msg("the quote that starts here is never closed"),
        msg("add the closing quote"),
    ),
    (
        ("found unknown escape character", "did not find expected hexdecimal"),
        msg("an unknown escape in double quotes"),
        msg("use single quotes, or write \\\\ for a backslash"),
    ),
    (
        ("expected ',' or ']'", "expected ',' or '}'"),
        msg("the bracket or brace that opens here is not closed, or a `,` is missing inside it"),
        msg("check brackets, braces and commas; put text that contains {{ in quotes"),
    ),
    (
        (
            "block sequence entries are not allowed",
            "did not find expected '-' indicator",
            "did not find expected key",
            "expected <block end>",
            "expected <document start>",
        ),
        _UNFIT,
        msg("indent the line like the lines around it, and check the quotes and brackets above"),
    ),
    (
        ("node content",),
        msg("a value is missing here"),
        msg("write the value, or remove the sign before this place"),
    ),
    (
        ("chomping or indentation indicators", "comment or a line break", "comment or line break"),
        msg("after | or > the text starts on the next line"),
        _QUOTES,
    ),
    (
        ("undefined alias", "alphabetic or numeric character"),
        msg("`*` refers to a value that is marked with `&` further up, but there is no such value"),
        msg("put the value in quotes if it is text, or mark the intended value with &NAME"),
    ),
    (
        ("but found another document",),
        msg("a second document starts here"),
        msg("a spec is one document: remove `---`"),
    ),
)
_FROM_THE_START = (
    "unexpected end of stream",
    "unexpected document separator",
    "expected ',' or",
    "could not find expected ':'",
)


def explain_syntax(error: yaml.YAMLError, text: str) -> tuple[int, int, str, str]:
    """Line, column, message and hint for an error that PyYAML raised over `text`."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return 1, 1, msg("this is not YAML"), msg("check the file from its start")
    problem = str(error.problem or "")
    mark = error.problem_mark
    lines = text.split("\n")
    tab = _tab_near(lines, mark.line)
    if tab is not None:
        return *tab, msg("a tab in the indentation"), msg("YAML allows only spaces for indentation")
    start = error.context_mark
    if start is not None and any(part in problem for part in _FROM_THE_START):
        mark = start
    line = lines[mark.line] if mark.line < len(lines) else ""
    message, hint = _words(problem, line, mark.column)
    if "expected ',' or" in problem and "${" in "\n".join(lines[mark.line : error.problem_mark.line + 1]):
        hint = msg('inside braces and brackets put variables in quotes: "${{NAME}}"')
    elif "node content" in problem and not "".join(lines[mark.line :]).strip():
        message, hint = msg("the file ends in the middle of a value"), msg("close the bracket or brace")
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
        return msg("this line is indented too far for the line above it"), msg(
            "indent the line like the lines around it"
        )
    for parts, message, hint in _WORDS:
        if any(part in problem for part in parts):
            return message, hint
    if "cannot start any token" in problem:
        return msg(
            "text can't start with {character}", character=line[column : column + 1].strip() or "a tab"
        ), (_QUOTES)
    return msg("this is not YAML: {problem}", problem=problem), msg(
        "put values with special characters in quotes"
    )
