"""The reference of the commands, and their man pages."""

from __future__ import annotations

from docsite.reference.parts import code, facts, head, page_text, table, words
from docsite.reference.tree import Told, commands
from techsapo_ops import __version__

PAGE = "commands"


def commands_page(language: str) -> str:
    """Exit codes, environment variables, then each command."""
    lines = head(PAGE, language)
    for key, columns, rows in (
        ("exits", "exit_columns", facts("exit_codes.yaml")["every"]),
        ("environment", "environment_columns", facts("environment.yaml")),
    ):
        lines += [f"## {words(PAGE, key, language)}", ""]
        lines += table(
            words(PAGE, columns, language), ([code(name), text[language]] for name, text in rows.items())
        )
    for told in commands(language):
        lines += [
            f"{'##' if told.name.count(' ') == 1 else '###'} {told.name}",
            "",
            *_help(told),
            "```text",
            told.usage,
            "```",
            "",
        ]
        if exits := _exits(told):
            lines += table(
                words(PAGE, "exit_columns", language),
                ([code(n), text[language]] for n, text in exits.items()),
            )
        if told.options:
            lines += table(
                words(PAGE, "columns", language), ([code(option), text] for option, text in told.options)
            )
    return page_text(lines)


def _exits(told: Told) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = facts("exit_codes.yaml")["of"].get(
        told.name.removeprefix("techsapo "), {}
    )
    return found


def _help(told: Told) -> list[str]:
    """The help as Markdown: an example, which is indented, is code."""
    lines: list[str] = []
    block = False
    for line in told.help.splitlines():
        if line.startswith("  ") and not block:
            lines += ["", "```sh"] if lines and lines[-1] else ["```sh"]
            block = True
        elif block and line and not line.startswith("  "):
            while not lines[-1]:
                lines.pop()
            lines += ["```", ""]
            block = False
        if not block or line:
            lines.append(line[2:] if block else _plain(line))
    return [*lines, *(["```"] if block else []), ""]


def _plain(line: str) -> str:
    return line.replace("<", "\\<")


def man_pages() -> dict[str, str]:
    """Each man page of section 1 by its file: techsapo.1, and one for each command with those below it."""
    groups: dict[str, list[Told]] = {}
    for told in commands():
        groups.setdefault(told.name.split()[1], []).append(told)
    pages = {"techsapo.1": _overview(groups)}
    for name, found in groups.items():
        pages[f"techsapo-{name}.1"] = _man(f"techsapo-{name}", found)
    return pages


def _overview(groups: dict[str, list[Told]]) -> str:
    lines = [
        *_title("techsapo", "runs TechSapo from one YAML spec"),
        ".SH SYNOPSIS",
        ".B techsapo",
        "COMMAND [OPTIONS]",
        ".SH COMMANDS",
    ]
    for name, found in groups.items():
        lines += [".TP", f".BR techsapo\\-{_roff(name)} (1)", _roff(found[0].short)]
    return "\n".join([*lines, *_common("techsapo")]) + "\n"


def _man(name: str, found: list[Told]) -> str:
    lines = [*_title(name, found[0].short.rstrip(".")), ".SH SYNOPSIS"]
    for told in found:
        lines += [".nf", _roff(told.usage), ".fi"]
    for told in found:
        lines += [
            f'.SH "{_roff(told.name.upper() if told is not found[0] else "DESCRIPTION")}"',
            *_paragraphs(told.help),
        ]
        for option, text in told.options:
            lines += [".TP", f".B {_roff(option)}", _roff(text)]
    return "\n".join([*lines, *_common(name)]) + "\n"


def _title(name: str, short: str) -> list[str]:
    return [
        f'.TH "{_roff(name.upper())}" 1 "" "techsapo {__version__}"',
        ".SH NAME",
        f"{_roff(name)} \\- {_roff(short)}",
    ]


def _common(name: str) -> list[str]:
    codes = facts("exit_codes.yaml")
    own = codes["of"].get(name.removeprefix("techsapo-"), {})
    lines = [".SH EXIT STATUS"]
    for number, text in {**codes["every"], **own}.items():
        lines += [".TP", f".B {number}", _roff(text["en"])]
    lines.append(".SH ENVIRONMENT")
    for variable, text in facts("environment.yaml").items():
        lines += [".TP", f".B {variable}", _roff(text["en"])]
    see = "The pages of the app under /help, and docs/ of the source."
    return [*lines, ".SH SEE ALSO", *([".BR techsapo (1)", ".br"] if name != "techsapo" else []), see]


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
