"""The servers around the app that an alert is about, each with its exporter as the stack runs it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import redis as redis_client
import servers
from monitoring_stack import topology_of, write

from techsapo_ops.render.templates import Templates
from techsapo_ops.services.nginx.site import nginx_files
from techsapo_ops.services.registry import programs
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import Program

PASSWORD = "lab-root"


class Around:
    """nginx, Redis and MariaDB of a stack, by the alert that tells when one is down."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.ports = {name: servers.free_port() for name in ("nginx", "redis", "mysql")}
        self._exporters = {name: servers.free_port() for name in ("nginx", "redis", "mysqld")}
        self._running: dict[str, tuple[ExitStack, servers.Server]] = {}
        self._programs: dict[str, Program] = {}

    def sections(self) -> dict[str, Any]:
        """What the spec says of them, and of the exporters below `monitoring`."""
        return {
            "nginx": {"listen": self.ports["nginx"]},
            "redis": {"port": self.ports["redis"]},
            "mysql": {"port": self.ports["mysql"], "user": "root", "password": PASSWORD},
        }

    def exporters(self) -> dict[str, Any]:
        """What the spec says below `monitoring.exporters`."""
        return dict(self._exporters)

    def watch(self, spec: Spec, stack: ExitStack) -> None:
        """Write nginx's configuration, start everything, and the exporters as `spec` has them generated."""
        topology = topology_of(spec, self._directory)
        write(nginx_files(topology, Templates()), self._directory)
        self._programs = {p.service: p for p in programs(topology)}
        stack.callback(self.stop, *self._starts())
        with ThreadPoolExecutor(len(self._starts())) as pool:
            list(pool.map(self.start, self._starts()))
        for name, port in self._exporters.items():
            program = self._programs[f"{name}-exporter"]
            url = f"http://127.0.0.1:{port}/"
            stack.enter_context(self._run(program, port, lambda url=url: servers.http_ok(url)))

    def start(self, *alerts: str) -> None:
        """Start those servers, with the data that they had."""
        for alert in alerts:
            own = ExitStack()
            self._running[alert] = (own, own.enter_context(self._starts()[alert]()))

    def stop(self, *alerts: str) -> None:
        """Stop nginx as an operator would, and kill -9 the others; what does not run stays so."""
        for alert in alerts:
            if alert not in self._running:
                continue
            own, server = self._running.pop(alert)
            if alert != "NginxDown":  # its workers outlive a killed master and go on answering
                server.kill()
            own.close()

    def redis_allows(self, *rules: str) -> None:
        """Change what clients may do with Redis; it goes on telling its exporter how it is."""
        with redis_client.Redis(port=self.ports["redis"]) as client:
            client.execute_command("ACL", "SETUSER", "default", *rules)

    def _starts(self) -> dict[str, Callable[[], AbstractContextManager[servers.Server]]]:
        folder, ports = self._directory, self.ports
        return {
            "NginxDown": lambda: self._run(
                self._programs["nginx"], ports["nginx"], lambda: servers.tcp_open(ports["nginx"])
            ),
            "RedisDown": lambda: servers.redis(folder / "redis", port=ports["redis"]),
            "MysqlDown": lambda: servers.mariadb(folder / "mysql", port=ports["mysql"], password=PASSWORD),
        }

    def _run(
        self, program: Program, port: int, ready: Callable[[], bool]
    ) -> AbstractContextManager[servers.Server]:
        for folder in (program.directory, self._directory / "run"):
            folder.mkdir(parents=True, exist_ok=True)
        argv = [
            "/usr/bin/env", *(f"{name}={value}" for name, value in program.environment.items()),
            servers.binary(Path(program.argv[0]).name), *program.argv[1:],
        ]  # fmt: skip
        return servers.running(argv, self._directory / f"{program.service}-lab", port, ready)
