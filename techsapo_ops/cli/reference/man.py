"""The man pages of section 1: one for techsapo, and one for each command with those below it."""

from __future__ import annotations

from pathlib import Path

from techsapo_ops import __version__
from techsapo_ops.cli.reference.commands import CommandHelp, commands
from techsapo_ops.cli.reference.parts import facts


def write_man_pages(folder: Path) -> None:
    """Write them into `folder`; one of a command that is gone is removed. Raises OSError."""
    pages = man_pages()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("techsapo*.1"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def man_pages() -> dict[str, str]:
    """Each page by the name of its file."""
    groups: dict[str, list[CommandHelp]] = {}
    for command in commands():
        groups.setdefault(command.name.split()[1], []).append(command)
    pages = {"techsapo.1": _overview(groups)}
    for name, members in groups.items():
        pages[f"techsapo-{name}.1"] = _man(f"techsapo-{name}", members)
    return pages


def _overview(groups: dict[str, list[CommandHelp]]) -> str:
    lines = [
        *_title("techsapo", "runs TechSapo from one YAML spec"),
        ".SH SYNOPSIS",
        ".B techsapo",
        "COMMAND [OPTIONS]",
        ".SH COMMANDS",
    ]
    for name, members in groups.items():
        lines += [".TP", f".BR techsapo\\-{_roff(name)} (1)", _roff(members[0].short)]
    return "\n".join([*lines, *_common()]) + "\n"


def _man(name: str, members: list[CommandHelp]) -> str:
    lines = [*_title(name, members[0].short.rstrip(".")), ".SH SYNOPSIS"]
    for command in members:
        lines += [".nf", _roff(command.usage), ".fi"]
    for command in members:
        heading = command.name.upper() if command is not members[0] else "DESCRIPTION"
        lines += [f'.SH "{_roff(heading)}"', *_paragraphs(command.help)]
        for option, text in command.options:
            lines += [".TP", f".B {_roff(option)}", _roff(text)]
    return "\n".join([*lines, *_common(*(command.name for command in members))]) + "\n"


def _title(name: str, short: str) -> list[str]:
    return [
        f'.TH "{_roff(name.upper())}" 1 "" "techsapo {__version__}"',
        ".SH NAME",
        f"{_roff(name)} \\- {_roff(short)}",
    ]


def _common(*names: str) -> list[str]:
    """What each page ends with; `names` are the commands that it is about."""
    codes = facts("exit_codes.yaml")
    shown = dict(codes["every"])
    for name in names:
        shown |= codes["of"].get(name.removeprefix("techsapo "), {})
    lines = [".SH EXIT STATUS"]
    for number, text in shown.items():
        lines += [".TP", f".B {number}", _roff(text["en"])]
    lines.append(".SH ENVIRONMENT")
    for variable, text in facts("environment.yaml").items():
        lines += [".TP", f".B {variable}", _roff(text["en"])]
    see = "The pages of the app under /help, and docs/ of the source."
    return [*lines, ".SH SEE ALSO", *([".BR techsapo (1)", ".br"] if names else []), see]


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for line in text.splitlines():
        if not line.strip():
            lines.append(".PP")
        elif line.startswith("  "):
            lines += [".RS", ".nf", _roff(line.strip()), ".fi", ".RE"]
        else:
            lines.append(_roff(line))
    return lines


def _roff(text: str) -> str:
    """Text that troff shows as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
