"""The real tools judge what a spec renders to, also where its values and its folder are hostile."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes.memory_engine import World
from fakes.notified import notified
from rows import each_row
from stacks import EVERYTHING, HOSTILE_FOLDER, real_host, spec, topology

from techsapo_ops.adapters.process import Runner, SubprocessRunner
from techsapo_ops.apply.generate import Generated
from techsapo_ops.apply.generate import examine as examine_stack
from techsapo_ops.errors import OpsError
from techsapo_ops.render.templates import Templates
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology

pytestmark = pytest.mark.lab

EVERY_CHECK = 15


def here(wanted: Spec, directory: Path) -> Topology:
    directory.mkdir(parents=True, exist_ok=True)
    return topology(wanted, directory, facts=real_host(sys.executable, root=os.geteuid() == 0))


def examine(wanted: Spec, where: Topology, templates: Templates, runner: Runner) -> Generated:
    """What the tools say of the stack; nothing of it runs."""
    world = World()
    engine = world.engine(where)
    folder = where.layout.state.parent
    return examine_stack(Stack(where, engine, runner, folder, templates, world.engine))


@each_row("folder", [HOSTILE_FOLDER, "braces {a} and `ticks`"])
def test_everything_passes_in_any_folder(tmp_path: Path, folder: str) -> None:
    wanted = spec(**EVERYTHING)
    found = examine(wanted, here(wanted, tmp_path / folder), Templates(), SubprocessRunner())
    assert found.validation.checked == EVERY_CHECK
    assert found.validation.missing == ()


HOSTILE_TEXTS = [
    "{{ .X }} ${HOME} $y a\"b'c`d\\e # not a comment; }",
    "日本語　全角" + "長" * 2000,
]


@each_row("text", HOSTILE_TEXTS)
def test_hostile_values_pass_as_values(tmp_path: Path, text: str) -> None:
    sections: dict[str, Any] = {
        **EVERYTHING,
        "redis": {"password": text.replace("\n", " ")},
        "notifications": notified(
            {
                "critical": [{"kind": "slack", "url": "https://hooks.example.com/x"}],
                "smtp": {"smarthost": "mail.example.com:25", "sender": "ops@example.com", "username": text},
            }
        ),
    }
    wanted = spec(**sections)
    found = examine(wanted, here(wanted, tmp_path), Templates(), SubprocessRunner())
    assert found.validation.checked == EVERY_CHECK


def test_a_template_that_the_tool_refuses_stops_everything_and_says_where(tmp_path: Path) -> None:
    wanted = spec(**EVERYTHING)
    override = tmp_path / "template-overrides"
    (override / "nginx").mkdir(parents=True)
    (override / "nginx/nginx.conf.j2").write_text(
        '{% extends "builtin/nginx/nginx.conf.j2" %}{% block http %}no_such_directive on;{% endblock %}'
    )
    where = here(wanted, tmp_path)
    with pytest.raises(OpsError, match=r"nginx refuses nginx/nginx\.conf") as error:
        examine(wanted, where, Templates(override), SubprocessRunner())
    assert 'unknown directive "no_such_directive"' in error.value.message
    assert str(where.layout.config / "nginx/nginx.conf") in error.value.message
    assert "techsapo-check-" not in error.value.message
    assert not where.layout.config.exists()


def test_nothing_of_the_real_state_is_touched(tmp_path: Path) -> None:
    wanted = spec(**EVERYTHING)
    where = here(wanted, tmp_path)
    where.layout.state.mkdir()
    examine(wanted, where, Templates(), SubprocessRunner())
    assert list(where.layout.state.iterdir()) == []


def test_no_secret_is_staged_for_the_tools(tmp_path: Path) -> None:
    seen: list[str] = []

    class Looking(SubprocessRunner):
        def run(self, command: Any, *, timeout: float = 60.0) -> Any:
            staged = (p for p in Path(command.cwd).rglob("*") if p.is_file())
            seen.extend(path.read_text(encoding="utf-8") for path in staged)
            return super().run(command, timeout=timeout)

    wanted = spec(**EVERYTHING)
    examine(wanted, here(wanted, tmp_path), Templates(), Looking())
    assert seen
    assert not [text for text in seen if "redis-secret" in text or "sk-secret" in text]


def test_a_wrong_systemd_or_logrotate_template_is_found_though_the_tools_end_with_zero(
    tmp_path: Path,
) -> None:
    wanted = spec()
    override = tmp_path / "template-overrides"
    for name, wrong in (
        ("systemd/techsapo.service.j2", "KillMode=mixed"),
        ("logrotate/techsapo.j2", "rotate {{"),
    ):
        path = override / name
        path.parent.mkdir(parents=True)
        path.write_text(
            Templates().source(name).replace(wrong, wrong.replace("Kill", "Kil").replace("ta", "at"))
        )
    with pytest.raises(OpsError) as error:
        examine(wanted, here(wanted, tmp_path), Templates(override), SubprocessRunner())
    assert "systemd-analyze refuses systemd/techsapo.service" in error.value.message
    assert "logrotate refuses logrotate/techsapo" in error.value.message


@each_row("folder", [HOSTILE_FOLDER])
def test_rsyslog_judges_what_it_is_to_include(tmp_path: Path, folder: str) -> None:
    wanted = spec(logs={"syslog": "[2001:db8::1]:514"})
    without = examine(spec(), here(spec(), tmp_path / "without"), Templates(), SubprocessRunner())
    found = examine(wanted, here(wanted, tmp_path / folder), Templates(), SubprocessRunner())
    assert found.validation.checked == without.validation.checked + 2
    assert found.validation.missing == ()
    override = tmp_path / "template-overrides"
    path = override / "rsyslog/techsapo.conf.j2"
    path.parent.mkdir(parents=True)
    path.write_text(Templates().source("rsyslog/techsapo.conf.j2").replace("queue.type=", "queue.typ="))
    with pytest.raises(OpsError) as error:
        examine(wanted, here(wanted, tmp_path / folder), Templates(override), SubprocessRunner())
    assert "rsyslogd refuses rsyslog/techsapo.conf" in error.value.message
