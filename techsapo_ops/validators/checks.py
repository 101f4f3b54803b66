"""Which tool checks which files, as values; nothing is run here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.process import Completed
from techsapo_ops.services.registry import kinds
from techsapo_ops.stack.places import EVERY
from techsapo_ops.stack.service import Tool

_ALERTMANAGER_STRICT = "--enable-feature=utf8-strict-mode"


def exit_code(done: Completed) -> bool:
    """Whether the tool's exit code says that all is well."""
    return done.code == 0


@dataclass(frozen=True, slots=True)
class Check:
    """One call of one tool.

    `tool` names the executable, `package` the Debian package that brings it. `arguments` are relative to
    the staging folder where `cwd` puts the tool. `reads` are the rendered paths whose content decides the
    outcome; `path` is the one named when it fails.
    """

    tool: str
    package: str
    path: str
    reads: tuple[str, ...]
    arguments: tuple[str, ...]
    passed: Callable[[Completed], bool] = exit_code
    timeout: float = 60.0
    stdin: str | None = None
    """Rendered path whose content the tool reads from its standard input."""

    @property
    def name(self) -> str:
        """The tool in a user's words: `docker compose`, else the executable."""
        return "docker compose" if self.tool == "docker" else self.tool


def checks(paths: Sequence[str], config: Path, prefix: Path) -> tuple[Check, ...]:
    """Every check for the rendered `paths`, staged below `config`; `prefix` is an empty folder for nginx."""
    known = set(paths)
    made: list[Check] = []
    validators = {kind.validator.name: kind.validator for kind in kinds() if kind.validator is not None}
    for root in (places.rendered for places in EVERY):
        for name, checks_of in _OF_TOOLS.items():
            made += checks_of(validators[name], paths, _Where(root, config, prefix))
    made += [_compose(p) for p in paths if p.startswith("docker/") and _name(p).startswith("docker-compose.")]
    if "logrotate/techsapo" in known:
        made.append(_logrotate("logrotate/techsapo", prefix))
    made += [_rsyslog(p) for p in paths if _name(p) == "techsapo.conf" and "rsyslog/" in p]
    if "systemd/techsapo.service" in known:
        made.append(_systemd("systemd/techsapo.service"))
    if "ecosystem.config.js" in known:
        made.append(_node("ecosystem.config.js"))
    return tuple(made)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _below(paths: Iterable[str], folder: str) -> tuple[str, ...]:
    return tuple(p for p in paths if p.startswith(folder))


@dataclass(frozen=True, slots=True)
class _Where:
    """Which rendering is checked: below `root`, staged in `config`; `prefix` is an empty folder."""

    root: str
    config: Path
    prefix: Path


def _promtool(tool: Tool, paths: Sequence[str], where: _Where) -> Iterable[Check]:
    read = _below(paths, f"{where.root}prometheus/")
    rules = tuple(p for p in read if p.startswith(f"{where.root}prometheus/rules/"))
    lint = ("--lint=all", "--lint-fatal")
    for main in (p for p in read if _name(p) == "prometheus.yml"):
        yield Check(tool.name, tool.package, main, read, ("check", "config", *lint, main))
    if rules:
        yield Check(tool.name, tool.package, rules[0], rules, ("check", "rules", *lint, *rules))


def _amtool(tool: Tool, paths: Sequence[str], where: _Where) -> Iterable[Check]:
    main = f"{where.root}alertmanager/alertmanager.yml"
    read = _below(paths, f"{where.root}alertmanager/")
    if main in read:
        arguments = ("check-config", _ALERTMANAGER_STRICT, main)
        yield Check(tool.name, tool.package, main, read, arguments)


def _nginx(tool: Tool, paths: Sequence[str], where: _Where) -> Iterable[Check]:
    for path in (p for p in _below(paths, f"{where.root}nginx/") if _name(p) == "nginx.conf"):
        arguments = (
            "-t", "-q", "-p", str(where.prefix), "-c", str(where.config / path), "-e", "stderr",
            "-g", "daemon off;",
        )  # fmt: skip
        yield Check(tool.name, tool.package, path, (path,), arguments)


def _blackbox(tool: Tool, paths: Sequence[str], where: _Where) -> Iterable[Check]:
    path = f"{where.root}blackbox/blackbox.yml"
    if path in paths:
        arguments = (f"--config.file={path}", "--config.check", "--log.level=warn")
        yield Check(tool.name, tool.package, path, (path,), arguments)


_OF_TOOLS: dict[str, Callable[[Tool, Sequence[str], _Where], Iterable[Check]]] = {
    "promtool": _promtool,
    "amtool": _amtool,
    "nginx": _nginx,
    "prometheus-blackbox-exporter": _blackbox,
}


def _compose(path: str) -> Check:
    return Check(
        "docker",
        "docker-cli docker-compose",
        path,
        (path,),
        ("compose", "-f", path, "config", "-q"),
        passed=lambda done: done.code == 0 and not done.output,
    )


def _logrotate(path: str, prefix: Path) -> Check:
    # Options that it does not know are warnings to logrotate, and then a log is kept for ever.
    return Check(
        "logrotate",
        "logrotate",
        path,
        (path,),
        ("-d", "-s", str(prefix / "logrotate.state"), path),
        passed=lambda done: (
            done.code == 0 and not any(w in done.output for w in ("unknown option", "error:"))
        ),
    )


def _rsyslog(path: str) -> Check:
    # Alone it lacks the working directory that the host's configuration names: that is told, and no fault.
    expected = ("config validation run", "e/2450", "End of config")
    return Check(
        "rsyslogd",
        "rsyslog",
        path,
        (path,),
        ("-N1", "-f", path),
        passed=lambda done: (
            "config validation run" in done.output
            and all(any(word in line for word in expected) for line in done.output.strip().splitlines())
        ),
    )


def _systemd(path: str) -> Check:
    # A misspelt directive is told but still ends with 0.
    return Check(
        "systemd-analyze",
        "systemd",
        path,
        (path,),
        ("verify", "--man=no", path),
        passed=lambda done: done.code == 0 and _name(path) not in done.output,
    )


def _node(path: str) -> Check:
    # Not by name: node takes the name for a URL, in which a folder may not hold a backslash.
    return Check("node", "nodejs", path, (path,), ("--check", "-"), stdin=path)
