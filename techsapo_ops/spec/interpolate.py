"""`${VAR}` and `${VAR:-default}` in the values of a spec.

Substitution happens after parsing, in text values alone: what a variable holds can never become YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import Path

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-((?:(?!\$\{)[^}])*))?\}|\$\{")
MALFORMED_HINT = msg("write ${{NAME}} or ${{NAME:-default}}; for a literal ${{ write $${{")


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
