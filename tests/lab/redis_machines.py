"""Redis and Sentinel of a stack on three machines: what is rendered for them, started as in containers.

Each machine is a network on one bridge, so that a cable can be pulled; its files lie in folders of its own.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import redis
from machines import Namespaces, Wire
from machines_spec import machines_files, machines_topology
from networks import within
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import binary, wait_for

from techsapo_ops.adapters.process import Command, SubprocessRunner
from techsapo_ops.adapters.redis import RedisServer, Sentinels
from techsapo_ops.certs.own import ensure_own_certificates
from techsapo_ops.services.redis.accounts import APP, OPERATOR, password_file
from techsapo_ops.services.redis.runtime import before_steps
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.own_tls import ca_file
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

T = TypeVar("T")
NAMES = ("a", "b", "c")


@dataclass
class RedisLab:
    """Three machines with a Redis and a Sentinel each."""

    folder: Path
    topology: Topology
    wire: Wire
    machines: dict[str, Namespaces]
    files: dict[str, str]
    """What is rendered, by path."""
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def address(self, name: str) -> str:
        """That of a service or of its machine."""
        return next(m.address for m in self.topology.machines if m.name == name[-1])

    def data(self, service: str) -> Path:
        """The volume of a service."""
        return self.folder / service / "data"

    def log(self, service: str) -> str:
        """What it said."""
        return (self.folder / service / "log").read_text(errors="replace")

    def start(self, service: str) -> None:
        """As its container is started: its files in their places, its address in its environment."""
        made = next(s for s in self.topology.services if s.name == service)
        container = kind_of(made).container(self.topology, made)
        home = self.folder / service
        home.mkdir(exist_ok=True)
        for name in ("secrets", "config", "data"):
            (home / name).mkdir(exist_ok=True)
        for name, path in kind_of(made).made_secrets(self.topology).items():
            (home / "secrets" / name).write_bytes(path.read_bytes())
        for inside, content in self.files.items():
            if inside.split("/")[0] in container.config:
                path = home / "config" / inside
                path.parent.mkdir(exist_ok=True)
                path.write_text(self._here(home, content))
        words = [self._here(home, word) for word in container.command]
        with (home / "log").open("ab") as log:
            self.running[service] = subprocess.Popen(
                [*self.machines[service[-1]].enter(), *words],
                env={"PATH": os.environ["PATH"] + ":/usr/sbin", **container.environment},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=home,
                start_new_session=True,
            )

    def _here(self, home: Path, text: str) -> str:
        """`text` with the places of a container as they are here."""
        keys = self.topology.layout.keys
        for inside, here in (
            ("/etc/techsapo/redis-tls", str(keys / "redis-tls/server")),
            ("/etc/techsapo/redis-ca", str(keys / "redis-tls/trust")),
            ("/etc/techsapo/redis-accounts", str(keys / "redis-accounts")),
            ("/etc/techsapo/sentinel-accounts", str(keys / "sentinel-accounts")),
            ("/etc/techsapo", str(home / "config")),
            ("/run/secrets", str(home / "secrets")),
            ('"/data"', f'"{home / "data"}"'),
            ("data=/data", f"data={home / 'data'}"),
        ):
            text = text.replace(inside, here)
        return text

    def kill(self, service: str) -> None:
        """kill -9."""
        process = self.running.pop(service)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait(30)

    def pull(self, name: str) -> None:
        """Pull a machine's cable."""
        self.wire.run(f"ip link set to-{name} down")

    def plug(self, name: str) -> None:
        """Put it back."""
        self.wire.run(f"ip link set to-{name} up")

    def server(self, near: str = "a") -> RedisServer:
        """What the app on a machine is told."""
        sentinels = sorted(self.topology.of_kind("sentinel"), key=lambda s: s.name[-1] != near)
        addresses = tuple(self.topology.address(s, Viewpoint.SERVICE) for s in sentinels)
        return RedisServer(
            "unused", 1, APP, self.password(APP), True, ca_file(self.topology.layout, "redis"),
            Sentinels(addresses, "techsapo"),
        )  # fmt: skip

    def password(self, account: str) -> str:
        """That of an account."""
        return password_file(self.topology.layout, account).read_text().strip()

    def within(self, work: Callable[[], T], where: str | None = None) -> T:
        """What `work` comes to in a thread on the bridge's network, or on that of a machine."""
        return within((self.machines[where] if where is not None else self.wire.namespaces).pid, work)

    def asyncio(self, main: Callable[[], Awaitable[T]], where: str | None = None) -> T:
        """The same of a coroutine."""

        async def bounded() -> T:
            async with asyncio.timeout(240):
                return await main()

        return self.within(lambda: asyncio.run(bounded()), where)

    def client(self, name: str, port: int = 6379, **options: Any) -> redis.Redis:
        """The operator's, at the Redis (or by its port the Sentinel) of a machine; for use `within`."""
        given: dict[str, Any] = {
            "username": OPERATOR, "password": self.password(OPERATOR), "ssl": True,
            "ssl_ca_certs": str(ca_file(self.topology.layout, "redis")), "ssl_check_hostname": True,
            "socket_timeout": 2, "socket_connect_timeout": 2, "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
        }  # fmt: skip
        return redis.Redis(host=self.address(name), port=port, **{**given, **options})

    def door_to(self, service: Service) -> Door:
        """The operator's way to a server, as the engine has it."""

        def enter(command: Command) -> Command:
            return replace(command, argv=(*self.machines[service.name[-1]].enter(), *command.argv))

        at = self.topology.address(service, Viewpoint.WITHIN)
        ca = str(ca_file(self.topology.layout, "redis"))
        options = ("-h", at.host, "-p", str(at.port), "--tls", "--cacert", ca, "--user", OPERATOR)
        return Door(SubprocessRunner(), enter, options, {"REDISCLI_AUTH": self.password(OPERATOR)})

    def roles(self, where: str | None = None) -> dict[str, str]:
        """Of the Redis that answer: master, replica, or a replica without its master."""

        def ask() -> dict[str, str]:
            found = {}
            for name in NAMES:
                with suppress(redis.RedisError, OSError), self.client(name) as link:
                    info = link.info("replication")
                    link_up = info.get("master_link_status", "up") == "up"
                    found[name] = info["role"] if link_up else f"{info['role']} alone"
            return found

        return self.within(ask, where)

    def whole(self) -> bool:
        """Whether there is one master with two replicas, and all Sentinels know all."""

        def known() -> bool:
            for name in NAMES:
                try:
                    with self.client(name, 26379) as link:
                        state = link.sentinel_master("techsapo")
                        slaves = link.sentinel_slaves("techsapo")
                except (redis.RedisError, OSError):
                    return False
                up = [s for s in slaves if not s["is_sdown"] and s["master-link-status"] == "ok"]
                if state["num-other-sentinels"] != 2 or len(up) != 2 or state["is_sdown"]:
                    return False
            return True

        return sorted(self.roles().values()) == ["master", "slave", "slave"] and self.within(known)

    def master(self) -> str:
        """The machine of the one that is."""
        (name,) = [name for name, role in self.roles().items() if role == "master"]
        return name

    def until_whole(self) -> None:
        """Wait until all is as it was."""
        try:
            wait_for(self.whole, timeout=90, what="one master and two replicas")
        except AssertionError as error:
            logs = "\n".join(f"{s}: {self.log(s)[-600:]}" for s in sorted(self.running))
            raise AssertionError(f"{error}\n{self.roles()}\n{logs}") from error

    def end(self) -> None:
        """End all servers."""
        for service in list(self.running):
            self.kill(service)


@contextmanager
def redis_machines(folder: Path) -> Iterator[RedisLab]:
    """Three machines on which Redis and Sentinel run. Needs root."""
    topology = machines_topology(folder / "state")
    ensure_own_certificates(topology)
    before_steps(topology, None)
    with ExitStack() as stack, Wire.made() as wire:
        machines: dict[str, Namespaces] = {}
        for machine in topology.machines:
            held = Namespaces.held(["cat"])
            stack.callback(held.end)
            machines[machine.name] = held
            wire.run(f"ip link add to-{machine.name} type veth peer name eth0 netns {held.pid}")
            wire.run(f"ip link set to-{machine.name} master br0 up")
            for words in (f"addr add {machine.address}/24 dev eth0", "link set lo up", "link set eth0 up"):
                held.run(binary("ip"), *words.split())
        lab = RedisLab(folder, topology, wire, machines, machines_files(topology))
        stack.callback(lab.end)
        began = time.monotonic()
        for name in NAMES:
            lab.start(f"sentinel-{name}")
            lab.start(f"redis-{name}")
        lab.until_whole()
        print(f"from nothing to one master with two replicas: {time.monotonic() - began:.1f} s")
        yield lab
