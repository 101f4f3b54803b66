from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.validators.check import Staging, ValidationReport, check, require

FILES = (
    RenderedFile("prometheus/prometheus.yml", "a"),
    RenderedFile("prometheus/rules/alerts.yml", "b"),
    RenderedFile("alertmanager/alertmanager.yml", "c"),
    RenderedFile("docker/docker-compose.monitoring.yml", "d"),
    RenderedFile("logrotate/techsapo", "e"),
    RenderedFile("systemd/techsapo.service", "f"),
    RenderedFile("nginx/nginx.conf", "g"),
    RenderedFile("ecosystem.config.js", "h"),
    RenderedFile("secrets/x", "i", secret=True),
)
TOOLS = ("promtool", "amtool", "docker", "logrotate", "systemd-analyze", "nginx", "node")


class Tools:
    """A Runner that answers as the tools do; `answers` gives exit code and output by tool."""

    def __init__(self, answers: dict[str, tuple[int, str]] | None = None) -> None:
        self.answers = answers or {}
        self.calls: list[Command] = []

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        self.calls.append(command)
        code, said = self.answers.get(Path(command.argv[0]).name, (0, ""))
        return Completed(command, code, said.encode(), b"")


@pytest.fixture
def binaries(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).write_text("v1")
    return {name: str(folder / name) for name in TOOLS}


@pytest.fixture
def judge(tmp_path: Path, binaries: dict[str, str]) -> Callable[..., ValidationReport]:
    config = tmp_path / "host" / "generated"
    config.mkdir(parents=True)
    for file in FILES:
        path = config / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content)
    staging = Staging(config, tmp_path / "prefix", str(tmp_path))

    def run(tools: Tools) -> ValidationReport:
        return check(FILES, staging, tools, binaries, {})

    return run


def test_every_tool_is_asked_about_its_files(judge: Callable[..., ValidationReport]) -> None:
    tools = Tools()
    report = judge(tools)
    assert report.ok
    assert {Path(c.argv[0]).name for c in tools.calls} == set(TOOLS)
    words = [" ".join(c.argv[1:]) for c in tools.calls]
    assert "check rules --lint=all --lint-fatal prometheus/rules/alerts.yml" in words
    assert "check-config --enable-feature=utf8-strict-mode alertmanager/alertmanager.yml" in words
    assert "compose -f docker/docker-compose.monitoring.yml config -q" in words
    assert report.checked == len(tools.calls) == 8


def test_a_refusal_names_tool_and_file_with_the_real_path(
    judge: Callable[..., ValidationReport], tmp_path: Path
) -> None:
    said = f"{tmp_path}/host/generated/nginx/nginx.conf:3 unexpected end"
    report = judge(Tools({"nginx": (1, said)}))
    (problem,) = report.problems
    assert (problem.tool, problem.path) == ("nginx", "nginx/nginx.conf")
    assert problem.output == "/generated/nginx/nginx.conf:3 unexpected end"
    with pytest.raises(OpsError, match=r"nginx refuses nginx/nginx\.conf:\n  /generated"):
        require(report)


@each_row(
    "tool, said",
    [
        ("logrotate", "warning: techsapo:4 unknown option 'rotat' -- ignoring line"),
        ("systemd-analyze", "/x/techsapo.service:15: Unknown key name 'Foo' in section 'Service', ignoring"),
        ("docker", "level=warning msg=The X variable is not set."),
    ],
)
def test_what_a_tool_only_warns_of_is_refused_too(
    judge: Callable[..., ValidationReport], tool: str, said: str
) -> None:
    assert not judge(Tools({tool: (0, said)})).ok


def test_a_missing_tool_is_named_with_its_remedy_and_what_nobody_checked(
    judge: Callable[..., ValidationReport], binaries: dict[str, str]
) -> None:
    del binaries["promtool"]
    report = judge(Tools())
    (missing,) = report.missing
    assert missing.tool == "promtool"
    assert missing.remedy == "apt-get install prometheus"
    assert missing.unchecked == ("prometheus/prometheus.yml", "prometheus/rules/alerts.yml")
    assert report.ok


def test_a_docker_without_compose_is_missing_not_a_refusal(judge: Callable[..., ValidationReport]) -> None:
    report = judge(Tools({"docker": (125, "unknown shorthand flag: 'f' in -f\nUsage: docker")}))
    assert report.ok
    assert [m.tool for m in report.missing] == ["docker compose"]


def test_an_nginx_that_is_older_than_the_images_is_missing_not_a_refusal(
    judge: Callable[..., ValidationReport],
) -> None:
    said = 'nginx: [emerg] invalid parameter "resolve" in /tmp/check/nginx.conf:155\nnginx: test failed'
    report = judge(Tools({"nginx": (1, said)}))
    assert report.ok
    assert [m.tool for m in report.missing] == ["nginx"]
    assert not judge(Tools({"nginx": (1, 'nginx: [emerg] invalid parameter "resolves"')})).ok
