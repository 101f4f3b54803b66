"""The `.env` file: NAME=value lines."""

from __future__ import annotations

import re

from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import Problem, SpecError

_LINE = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def parse_dotenv(text: str, filename: str = ".env") -> dict[str, str]:
    """Variables of a `.env` file.

    Lines are `NAME=value`, optionally after `export`; `#` starts a comment at the start of a line and
    after a space. 'single quotes' keep everything as it is, "double quotes" know \\n, \\r, \\t, \\", \\\\
    and \\$. Nothing is expanded. A later line wins. Raises SpecError that lists every wrong line; values
    are never shown.
    """
    variables: dict[str, str] = {}
    problems = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            problems.append(
                Problem(
                    number, 1, "", msg("this line is no NAME=value"), msg("names are letters, digits and _")
                )
            )
            continue
        try:
            variables[match[1]] = _value(match[2])
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            problems.append(Problem(number, 1, match[1], message, hint))
    if problems:
        raise SpecError(problems, filename)
    return variables


def _value(raw: str) -> str:
    quote = raw[:1]
    if quote not in {"'", '"'}:
        return "" if raw.startswith("#") else re.split(r"[ \t]#", raw, maxsplit=1)[0].rstrip()
    body: list[str] = []
    rest = iter(range(1, len(raw)))
    for position in rest:
        character = raw[position]
        if character == quote:
            tail = raw[position + 1 :].strip()
            if tail and not tail.startswith("#"):
                raise ValueError(msg("text follows the closing quote; only a # comment may"))
            return "".join(body)
        if character == "\\" and quote == '"' and raw[position + 1 : position + 2] in _ESCAPES:
            body.append(_ESCAPES[raw[next(rest)]])
        else:
            body.append(character)
    raise ValueError(msg("the quote is not closed; close it on the same line"))
