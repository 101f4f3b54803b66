"""Machines with a Docker each, and the Swarm that they come to, by docker's own command line and API.

What they say was recorded of Docker 26.1.5 (tests/cases/docker_hosts, 2026-11-27) and is changed only in what
tells one machine from another. Anything that no test needs is refused.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.process import Command, Completed, TimedOut
from techsapo_ops.errors import OpsError

RECORDED = Path(__file__).parents[1] / "cases" / "docker_hosts"
TOKEN = "SWMTKN-1-4n7-managers"
PROBED = """\
disk /dev/vda 270600000 219500000 51100000 82% /
port 00000000:0016
address 127.0.0.1
address 10.0.0.{number}
six 00000000000000000000000000000001
"""
NO_MANAGER = (
    'Error response from daemon: This node is not a swarm manager. Use "docker swarm init" or "docker swarm '
    'join" to connect this node to swarm and try again.'
)


@dataclass
class HostFake:
    """One machine; `silent` is what the docker client says in place of an answer."""

    name: str
    number: int
    calls_itself: str = ""
    version: str = "26.1.5"
    ahead: float = 0.0
    silent: str = ""
    state: str = "inactive"
    cluster: str = ""
    worker: bool = False
    images: bool = True
    probed: str = PROBED
    running: tuple[str, ...] = ()
    node: dict[str, Any] = field(default_factory=dict)


class HostsFake:
    """A Runner: the machines a, b and c at 10.0.0.1 to 3, reached by ssh://ops@NAME or a socket NAME."""

    def __init__(self, names: str = "abc") -> None:
        self.hosts = {name: HostFake(name, number) for number, name in enumerate(names, 1)}
        self.heartbeat = 0
        self.services: tuple[str, ...] = ()
        self.said: list[tuple[str, ...]] = []
        self.asked: list[Command] = []
        self._left: list[dict[str, Any]] = []

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """The nodes as a manager lists them."""
        return [*(h.node for h in self.hosts.values() if h.node), *self._left]

    def joined(self, heartbeat: int = 20) -> HostsFake:
        """All of them in one Swarm, labelled."""
        self.heartbeat = heartbeat
        for host in self.hosts.values():
            self._in(host)
            host.node["Spec"]["Labels"] = {"techsapo": host.name}
        return self

    def lost(self, name: str) -> None:
        """The machine is gone, its node is still listed; another one with that name and address is new."""
        old = self.hosts[name].node
        old["Status"]["State"] = "down"
        old["ManagerStatus"] = {"Reachability": "unreachable", "Addr": old["ManagerStatus"]["Addr"]}
        self._left.append(old)
        self.hosts[name] = HostFake(name, self.hosts[name].number)

    def _in(self, host: HostFake) -> None:
        host.state, host.cluster = "active", "81hg96p2y7ahxlbwfpnj88d3q"
        node = copy.deepcopy(json.loads((RECORDED / "nodes.json").read_text())[0])
        node["ID"] = f"node-of-{host.name}-{len(self._left)}"
        node["Description"]["Hostname"] = host.name
        node["Spec"]["Labels"] = {}
        node["Status"]["Addr"] = f"10.0.0.{host.number}"
        node["ManagerStatus"] = {"Reachability": "reachable", "Addr": f"10.0.0.{host.number}:2377"}
        if not any(n["ManagerStatus"].get("Leader") for n in self.nodes if "ManagerStatus" in n):
            node["ManagerStatus"]["Leader"] = True
        host.node = node

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        """As a Runner."""
        self.asked.append(command)
        if command.argv[0] == "ssh":
            host = self.hosts[command.argv[-3].rpartition("@")[2]]
            assert command.argv[-2:] == ("sh", "-s")
            return self._answer(command, host, ("probe",), timeout)
        assert command.argv[:2] == ("docker", "--host"), command.argv
        host = self.hosts[command.argv[2].rpartition("@")[2].rpartition("/")[2]]
        return self._answer(command, host, command.argv[3:], timeout)

    def _answer(self, command: Command, host: HostFake, words: tuple[str, ...], timeout: float) -> Completed:
        if host.silent == "timeout":
            raise TimedOut(command, timeout)
        if host.silent:
            # As the client does it: an empty form of the answer, and the truth in it and beside it.
            form = json.dumps({"ServerVersion": "", "ServerErrors": [host.silent]})
            return _said(command, 1, form if words[0] == "info" else "", host.silent)
        name = " ".join(word for word in words[:2] if word.isalpha() or "-" in word.strip("-"))
        if words[0] in {"info", "probe", "run", "ps", "exec", "kill", "rm", "stop", "version"}:
            name = words[0]
        try:
            answer = getattr(self, f"_{name.replace(' ', '_').replace('-', '_')}")
        except AttributeError:
            raise AssertionError(f"nobody knows docker {' '.join(words)}") from None
        try:
            return _said(command, 0, answer(host, words, command))
        except OpsError as error:
            return _said(command, 1, "", error.message)

    def _info(self, host: HostFake, words: tuple[str, ...], _: Command) -> str:
        assert words[1:] == ("--format", "{{json .}}")
        kind = "manager" if host.state == "active" and not host.worker else "alone"
        value = json.loads((RECORDED / f"info-{kind}.json").read_text())
        value["Name"] = host.calls_itself or host.name
        value["ServerVersion"] = host.version
        there = datetime.now(UTC) + timedelta(seconds=host.ahead)
        value["SystemTime"] = there.strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"
        swarm = value["Swarm"]
        swarm["LocalNodeState"] = host.state
        swarm["NodeID"] = host.node.get("ID", "")
        swarm["NodeAddr"] = f"10.0.0.{host.number}" if host.node else ""
        if "Cluster" in swarm:
            swarm["Cluster"]["ID"] = host.cluster
            swarm["Cluster"]["Spec"]["Dispatcher"]["HeartbeatPeriod"] = self.heartbeat * 10**9
        return json.dumps(value)

    def _image_inspect(self, host: HostFake, words: tuple[str, ...], _: Command) -> str:
        names = words[4:]
        if not host.images:
            raise OpsError(f"Error response from daemon: No such image: {names[0]}")
        return "\n".join(f"sha256:{n} {json.dumps([n])} []" for n in names)

    def _ps(self, host: HostFake, _: tuple[str, ...], __: Command) -> str:
        return "\n".join(f"techsapo_{name}" for name in host.running)

    def _probe(self, host: HostFake, _: tuple[str, ...], command: Command) -> str:
        text = (command.stdin or b"").decode()
        given = text.splitlines()[0].split()[3:]
        assert text.startswith("set -- /")
        lines = [
            f"reach {given[at]} {given[at + 2]} {'yes' if self.hosts[given[at]].node else 'refused'}"
            for at in range(0, len(given), 3)
            if not self.hosts[given[at]].silent
        ]
        return host.probed.format(number=host.number) + "\n".join(lines) + "\n"

    def _run(self, host: HostFake, words: tuple[str, ...], command: Command) -> str:
        assert {"--rm", "--network", "--pull"} <= set(words)
        return self._probe(host, words, command)

    def _system_dial_stdio(self, host: HostFake, _: tuple[str, ...], command: Command) -> str:
        head, _, body = (command.stdin or b"").decode().partition("\r\n\r\n")
        verb, path, version = head.splitlines()[0].split()
        assert version == "HTTP/1.0"
        value = json.loads(body) if body else None
        if (verb, path.partition("/")[2].partition("/")[2]) == ("GET", "nodes"):
            if host.state != "active" or host.worker:
                return _http(503, {"message": NO_MANAGER})
            return _http(200, self.nodes)
        assert (verb, path) == ("POST", "/v1.44/swarm/join")
        if value["JoinToken"] != TOKEN:
            return _http(400, {"message": "invalid join token"})
        assert value["AdvertiseAddr"] == f"10.0.0.{host.number}"
        assert value["RemoteAddrs"][0].endswith(":2377")
        self._in(host)
        return _http(200, None)

    def _swarm_init(self, host: HostFake, words: tuple[str, ...], _: Command) -> str:
        options = dict(zip(words[2::2], words[3::2], strict=True))
        assert options["--advertise-addr"] == f"10.0.0.{host.number}"
        self.heartbeat = int(options["--dispatcher-heartbeat"].removesuffix("s"))
        self.said.append(("init", host.name))
        self._in(host)
        return "Swarm initialized"

    def _swarm_join_token(self, host: HostFake, words: tuple[str, ...], _: Command) -> str:
        assert words[2:] == ("--quiet", "manager")
        self._require_manager(host)
        return TOKEN + "\n"

    def _swarm_update(self, host: HostFake, words: tuple[str, ...], _: Command) -> str:
        self._require_manager(host)
        assert words[2] == "--dispatcher-heartbeat"
        self.heartbeat = int(words[3].removesuffix("s"))
        return "Swarm updated."

    def _service_ls(self, host: HostFake, _: tuple[str, ...], __: Command) -> str:
        self._require_manager(host)
        return "\n".join(self.services)

    def _node_ls(self, host: HostFake, words: tuple[str, ...], _: Command) -> str:
        self._require_manager(host)
        assert words[2:] == ("--format", "{{.Hostname}} {{.ManagerStatus}}")
        return "\n".join(node["Description"]["Hostname"] for node in self.nodes)

    def _node_update(self, host: HostFake, words: tuple[str, ...], _: Command) -> str:
        self._require_manager(host)
        node = self._node(words[-1])
        options = dict(zip(words[2:-1:2], words[3:-1:2], strict=True))
        if "--label-add" in options:
            key, _, value = options["--label-add"].partition("=")
            node["Spec"]["Labels"][key] = value
        if "--availability" in options:
            node["Spec"]["Availability"] = options["--availability"]
        return words[-1]

    def _node_promote(self, host: HostFake, words: tuple[str, ...], _: Command) -> str:
        self._require_manager(host)
        node = self._node(words[-1])
        node["ManagerStatus"] = {"Reachability": "reachable", "Addr": f"{node['Status']['Addr']}:2377"}
        next(h for h in self.hosts.values() if h.node is node).worker = False
        return ""

    def _node_demote(self, host: HostFake, words: tuple[str, ...], _: Command) -> str:
        self._require_manager(host)
        node = self._node(words[-1])
        node.pop("ManagerStatus", None)
        node["Spec"]["Role"] = "worker"
        for other in self.hosts.values():
            other.worker = other.worker or other.node is node
        return ""

    def _node_rm(self, host: HostFake, words: tuple[str, ...], _: Command) -> str:
        self._require_manager(host)
        node = self._node(words[-1])
        if "ManagerStatus" in node:
            raise OpsError(
                "Error response from daemon: rpc error: code = FailedPrecondition desc = node "
                f"{words[-1]} is a cluster manager and is a member of the raft cluster. "
                "It must be demoted to worker before removal"
            )
        if node["Status"]["State"] != "down" and "--force" not in words:
            raise OpsError(
                "Error response from daemon: rpc error: code = FailedPrecondition desc = node is not down"
            )
        self._left = [n for n in self._left if n is not node]
        for other in self.hosts.values():
            if other.node is node:
                other.node = {}
        return ""

    def _swarm_leave(self, host: HostFake, _: tuple[str, ...], __: Command) -> str:
        if host.node:
            host.node["Status"]["State"] = "down"
            self._left.append(host.node)
        host.state, host.node, host.worker = "inactive", {}, False
        return "Node left the swarm."

    def _node(self, word: str) -> dict[str, Any]:
        return next(n for n in self.nodes if word in {n["ID"]})

    @staticmethod
    def _require_manager(host: HostFake) -> None:
        if host.state != "active" or host.worker:
            raise OpsError(NO_MANAGER)


def _http(code: int, value: Any) -> str:
    body = "" if value is None else json.dumps(value)
    return f"HTTP/1.0 {code} Words\r\nContent-Type: application/json\r\n\r\n{body}"


def _said(command: Command, code: int, out: str, error: str = "") -> Completed:
    return Completed(command, code, out.encode(), error.encode())
