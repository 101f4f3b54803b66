"""What the package says to people, read from its code: messages, headings of tables, and help pages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from techsapo_ops.catalogue.series import job_metrics, metrics
from techsapo_ops.cli import typer_base
from techsapo_ops.cli.lazy import LazyCommand
from techsapo_ops.cli.main import app
from techsapo_ops.spec.describe import documented

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "techsapo_ops"
HELP = "help"
FIELDS = "spec_fields"
_SPLIT = frozenset({"cli"})
"""Rooms whose messages are in a file for each folder."""


_SAYS = re.compile(r"\b(?:msg|template)\(|\.table\(|make_table\(|filled\(|_tell\(")


@dataclass(frozen=True, order=True)
class Said:
    """A text that is said, where, and to which file of the catalogue it belongs."""

    room: str
    file: str
    text: str
    template: bool = True
    """Whether the names in its braces are values."""


class NoLiteral(Exception):
    """A call of `msg` whose template does not stand in it."""


@cache
def all_said() -> tuple[Said, ...]:
    """Every text once, in the order of rooms and files. Raises NoLiteral."""
    found: dict[str, Said] = {}
    for said in sorted([*_in_code(), *_in_help(), *_in_fields(), *_of_metrics()]):
        found.setdefault(said.text, said)
    return tuple(sorted(said for said in found.values() if has_words(said.text)))


def has_words(text: str) -> bool:
    """Whether there is anything to translate in a text: in `{path}: {problem}` there is not.

    A semicolon between two sentences is, and so is a comma that joins parts: Japanese has others.
    """
    if text == ", ":
        return True
    depth, letters = 0, False
    for character in text.replace("{{", "").replace("}}", ""):
        depth += (character == "{") - (character == "}")
        letters = letters or (depth == 0 and (character.isalpha() or character == ";"))
    return letters


def _in_code() -> Iterator[Said]:
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        text = path.read_text(encoding="utf-8")
        if not _SAYS.search(text):
            continue
        tree = ast.parse(text)
        columns = {
            target.id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple | ast.List)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            for each in _texts(call, file, columns):
                yield Said(_room(path), file, each)


def _texts(call: ast.Call, file: str, known: Mapping[str, ast.Tuple | ast.List]) -> Iterator[str]:
    match call.func:
        case ast.Name("msg" | "template"):
            yield _literal(call, file)
        case ast.Attribute(attr="table") | ast.Name("make_table" | "filled"):
            columns = call.args[0] if call.args else None
            if isinstance(columns, ast.Name):
                columns = known.get(columns.id)
            for column in columns.elts if isinstance(columns, ast.Tuple | ast.List) else ():
                if isinstance(column, ast.Constant) and isinstance(column.value, str):
                    yield column.value.upper()
        case ast.Name("_tell") if isinstance(call.args[0], ast.Constant):
            yield str(call.args[0].value)


def _literal(call: ast.Call, file: str) -> str:
    if len(call.args) == 1 and isinstance(call.args[0], ast.Constant):
        return str(call.args[0].value)
    raise NoLiteral(f"{file}:{call.lineno}: msg wants a literal, and values by name: {ast.unparse(call)}")


def _room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    if len(parts) > 2 and parts[0] in _SPLIT:
        return f"{parts[0]}_{parts[1]}"
    return parts[0].removesuffix(".py")


def _in_help() -> Iterator[Said]:
    for title in (typer_base.USAGE, *typer_base.TITLES.values()):
        yield Said(HELP, "techsapo_ops/cli/typer_base.py", title, template=False)
    for text, where in _help_of(typer.main.get_command(app), "techsapo"):
        for paragraph, to_say in typer_base.paragraphs(text):
            if to_say and paragraph:
                yield Said(HELP, where, typer_base.flat(paragraph), template=False)


def _of_metrics() -> Iterator[Said]:
    """What the reference says of each metric; Prometheus reads it in English."""
    for metric in (*metrics().values(), *job_metrics().values()):
        yield Said(
            "metrics", "techsapo_ops/catalogue/series.py", " ".join(metric.help.split()), template=False
        )


def _in_fields() -> Iterator[Said]:
    """What each field of the spec is for: the docstrings of the models."""
    for path in sorted((PACKAGE / "spec" / "models").glob("*.py")):
        module = import_module(f"techsapo_ops.spec.models.{path.stem}")
        for name, texts in documented(module.__name__).items():
            if isinstance(section := getattr(module, name), type) and issubclass(section, BaseModel):
                for text in texts.values():
                    yield Said(FIELDS, path.relative_to(ROOT).as_posix(), getattr(text, "template", text))


def _help_of(command: Any, name: str) -> Iterator[tuple[str, str]]:
    real = command.resolve() if isinstance(command, LazyCommand) else command
    context = typer.Context(real, info_name=name)
    parameters = [each for each in real.get_params(context) if not getattr(each, "hidden", False)]
    for thing in (command, real, *parameters):
        for attribute in typer_base.TEXTS:
            if isinstance(text := getattr(thing, attribute, None), str) and text:
                yield text, name
    for below, each in getattr(real, "commands", {}).items():
        yield from _help_of(each, f"{name} {below}")
