from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from in_process import techsapo
from rows import each_row
from stacks import HOSTILE_FOLDER, host, spec, templates, topology

from techsapo_ops.errors import OpsError
from techsapo_ops.render.host import systemd_files, systemd_quote


def unquoted(line: str) -> list[str]:
    """The words of an Exec line, by the rules of systemd.service(5)."""
    words, word, inside, escaped = [], "", False, False
    for character in line.replace("%%", "%").replace("$$", "$"):
        if escaped:
            word, escaped = word + character, False
        elif character == "\\":
            escaped = True
        elif character == '"':
            inside = not inside
        elif character == " " and not inside:
            words.append(word)
            word = ""
        else:
            word += character
    return [*words, word]


def unit(directory: Path, *, root: bool = True, environment: str | None = None) -> dict[str, str]:
    wanted = spec()
    where = topology(wanted, directory, facts=host(root=root))
    where = where.relocated(replace(where.layout, environment=environment))
    (file,) = systemd_files(where, templates())
    lines = [line for line in file.content.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_unit_brings_this_spec_up_and_down_again(tmp_path: Path) -> None:
    directory = tmp_path / HOSTILE_FOLDER
    found = unit(directory, environment="production")
    expected = ["/opt/venv/bin/python", "-m", "techsapo_ops"]
    named = ["--file", str(directory / "techsapo.yaml")]
    assert unquoted(found["ExecStart"]) == [*expected, "up", *named, "--yes"]
    assert unquoted(found["ExecStop"]) == [*expected, "down", *named]


def test_each_command_of_the_unit_takes_its_options(tmp_path: Path) -> None:
    found = unit(tmp_path, environment="production")
    for line in ("ExecStart", "ExecReload", "ExecStop"):
        said = techsapo(tmp_path, *unquoted(found[line])[3:], "--help")
        assert said.returncode == 0, said.stderr


@each_row("root, target", [(True, "multi-user.target"), (False, "default.target")])
def test_without_root_it_is_a_unit_of_the_user(tmp_path: Path, root: bool, target: str) -> None:
    assert unit(tmp_path, root=root)["WantedBy"] == target


def test_control_characters_are_refused_in_the_unit() -> None:
    with pytest.raises(OpsError, match="control character"):
        systemd_quote("a\nExecStart=/bin/sh")
