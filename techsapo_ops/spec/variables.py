"""Variables: the lines of a `.env` file, and `${VAR}` and `${VAR:-default}` in the values of a spec.

Substitution happens after parsing, in text values alone: what a variable holds can never become YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import Path, Problem, SpecError

_LINE = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}
_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-((?:(?!\$\{)[^}])*))?\}|\$\{")
MALFORMED_HINT = msg("write ${{NAME}} or ${{NAME:-default}}; for a literal ${{ write $${{")


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
                    number,
                    1,
                    "",
                    msg("this line is not a NAME=value pair"),
                    msg("a name may contain only letters, digits and _"),
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
                raise ValueError(msg("there is text after the closing quote; only a # comment may follow it"))
            return "".join(body)
        if character == "\\" and quote == '"' and raw[position + 1 : position + 2] in _ESCAPES:
            body.append(_ESCAPES[raw[next(rest)]])
        else:
            body.append(character)
    raise ValueError(msg("the quote is not closed; close it on the same line"))


@dataclass(slots=True)
class Interpolated:
    """Data with its variables filled in.

    `variables` names the variables behind each value that has any; `unset` the first variable that a
    value lacks; `malformed` holds the values with a `${` that is no reference.
    """

    data: Any
    variables: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    unset: dict[Path, str] = field(default_factory=dict)
    malformed: list[Path] = field(default_factory=list)


def interpolate(data: Any, env: Mapping[str, str]) -> Interpolated:
    """Fill in the variables of `data` from `env`.

    A default takes the place of a variable that is unset or empty, as in a shell. A provider's variable
    (below ("providers", NAME)) that is empty counts as unset: an empty API key is none.
    """
    result = Interpolated(None)
    result.data = _walk(data, (), env, result)
    return result


def _walk(node: Any, path: Path, env: Mapping[str, str], result: Interpolated) -> Any:
    if isinstance(node, dict):
        return {key: _walk(value, (*path, key), env, result) for key, value in node.items()}
    if isinstance(node, list):
        return [_walk(value, (*path, n), env, result) for n, value in enumerate(node)]
    if isinstance(node, str) and "${" in node:
        return "".join(_pieces(node, path, env, result))
    return node


def _pieces(text: str, path: Path, env: Mapping[str, str], result: Interpolated) -> Iterator[str]:
    end = 0
    for match in _REFERENCE.finditer(text):
        yield text[end : match.start()]
        end = match.end()
        name = match[1]
        if match[0] == "$${":
            yield "${"
        elif name is None:
            result.malformed.append(path)
        else:
            result.variables[path] = (*result.variables.get(path, ()), name)
            yield _lookup(name, match[2], path, env, result)
    yield text[end:]


def _lookup(name: str, default: str | None, path: Path, env: Mapping[str, str], result: Interpolated) -> str:
    value = env.get(name)
    if value or (value is not None and default is None and path[:1] != ("providers",)):
        return value
    if default is None:
        result.unset.setdefault(path, name)
        return ""
    return default
