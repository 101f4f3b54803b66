"""The front of three machines: the generated keepalived and nginx, started from their files in namespaces.

Debian's nginx looks names up once, so it is told addresses; that it looks while it runs is tried on Docker.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from front_machines import Bare, Segment, segment
from machines import NETWORK
from servers import binary, wait_for
from stacks import rendered, spec, topology

from techsapo_ops.services.keepalived.kind import CAPABILITIES
from techsapo_ops.services.nginx.balancing import DRAIN_SECONDS

HERE = Path(__file__).parent
FLOATING = f"{NETWORK}.100"
PORT = 8080
STEADY = 15
"""How often the same is to be seen: longer than the others wait for signs of life."""


@dataclass
class Front:
    """Three machines, each with an app, nginx and keepalived, started from the generated files."""

    lab: Segment

    def start_nginx(self, machine: Bare, shell: str = "sh") -> subprocess.Popen[bytes]:
        """Start nginx by its script, and wait until it answers."""
        folder = machine.folder / "etc/techsapo/nginx"
        process = machine.start(
            shell, f"{folder}/start.sh", binary("nginx"), "-p", str(machine.folder / "data"),
            "-c", f"{folder}/nginx.conf", "-e", "stderr", "-g", "daemon off;", log="nginx.log",
        )  # fmt: skip
        wait_for(lambda: self.asked(machine, "nginx-front") == "200", what=f"nginx of {machine.name}")
        return process

    def start_keepalived(self, machine: Bare) -> None:
        """Start keepalived by its script, with the rights that its container has."""
        machine.run("mkdir", "-p", "/run/keepalived")
        rights = ",".join(f"+{name.lower()}" for name in CAPABILITIES)
        script = f"/etc/techsapo/keepalived/{machine.own_folder}/start.sh"
        machine.start("setpriv", f"--bounding-set=-all,{rights}", "sh", script, log="keepalived.log")

    def asked(self, machine: Bare, path: str, address: str = "") -> str:
        """The status with which an nginx answers, as a client sees it."""
        url = f"http://{address or machine.address}:{PORT}/{path}"
        done = self.lab.client.run(
            "curl", "-s", "-o", "/dev/null", "-m", "2", "-w", "%{http_code}", url, check=False
        )
        return done.stdout

    @property
    def holders(self) -> list[str]:
        """The machines that have the address."""
        return [m.name for m in self.lab.machines if m.has(FLOATING)]

    def holder(self) -> Bare:
        """The one that has it, once that is one and it answers."""
        wait_for(
            lambda: len(self.holders) == 1 and self.asked(self.lab.client, "ping", FLOATING) == "200",
            what=f"one holder; {self.logs()}",
        )
        return next(m for m in self.lab.machines if m.name == self.holders[0])

    def others(self, machine: Bare) -> list[Bare]:
        """The other machines."""
        return [m for m in self.lab.machines if m is not machine]

    def state(self, machine: Bare) -> str:
        """What keepalived has noted of itself."""
        return machine.read("/run/keepalived/state").strip()

    def all_ready(self) -> Bare:
        """Wait until one has the address, the others would take it, and it stays so; the one that has it."""
        seen: list[tuple[list[str], list[str]]] = []

        def steady() -> bool:
            seen.append((self.holders, [self.state(m) for m in self.lab.machines]))
            held, states = seen[-1]
            in_line = len(held) == 1 and sorted(states) == ["BACKUP", "BACKUP", "MASTER"]
            return in_line and len(seen) >= STEADY and all(one == seen[-1] for one in seen[-STEADY:])

        wait_for(steady, what=f"one MASTER and two BACKUP; {self.logs()}")
        return self.holder()

    def logs(self) -> str:
        """The end of what keepalived said everywhere."""
        found = ((m.name, (m.folder / "keepalived.log")) for m in self.lab.machines)
        return "\n".join(f"{name}: {log.read_text()[-800:]}" for name, log in found if log.exists())

    @contextmanager
    def load(self, rate: float = 20.0) -> Iterator[list[dict[str, Any]]]:
        """Requests to the address from before the block until after it, and then what came of each."""
        client, lines = self.lab.client, list[dict[str, Any]]()
        asked = client.folder / "asked.jsonl"
        asked.unlink(missing_ok=True)
        process = client.start(
            sys.executable, str(HERE / "front_load.py"), FLOATING, str(PORT), str(rate), log=asked.name
        )
        try:
            wait_for(lambda: asked.read_text().count("\n") > rate, what="the load's first second")
            yield lines
            more = asked.read_text().count("\n") + rate
            wait_for(lambda: asked.read_text().count("\n") > more, what="a second more of it")
        finally:
            # It is in a namespace of its own: nsenter does not hand a signal on.
            client.kill(Path(sys.executable).name, "TERM")
            process.wait(60)
        lines += [json.loads(line) for line in asked.read_text().splitlines()]


def failed(lines: list[dict[str, Any]], word: str) -> list[dict[str, Any]]:
    """Those whose `first` or `last` try was not answered."""
    return [line for line in lines if line[word] != "200"]


def gap(lines: list[dict[str, Any]]) -> float:
    """The longest time between two answers to first tries."""
    over = sorted(line["over"] for line in lines if line["first"] == "200")
    return max((after - before for before, after in pairwise(over)), default=0.0)


def tell(what: str, lines: list[dict[str, Any]]) -> None:
    """Print what it was like for clients; shown with `-s`, and where a test fails."""
    first, last = failed(lines, "first"), failed(lines, "last")
    print(f"{what}: gap {gap(lines):.2f} s; of {len(lines)} {len(first)} failed, {len(last)} twice")


def write_files(lab: Segment, drain: int) -> None:
    """Give each machine the generated files, as containers would have them."""
    hosts = {m.name: {"address": m.address, "docker": f"ssh://ops@{m.name}"} for m in lab.machines}
    wanted = spec(
        engine="swarm", hosts=hosts, floating_address=f"{FLOATING}/24", mysql={}, nginx={"listen": PORT},
        app={"instances": [{"port": 4000, "weight": 2}, {"port": 4001}]},
    )  # fmt: skip
    files = rendered(wanted, topology(wanted, lab.client.folder, "swarm"))
    for machine in lab.machines:
        data = machine.folder / "data"
        data.mkdir(mode=0o777)
        data.chmod(0o777)
        for path, file in files.items():
            inside = path.removeprefix("swarm/config/")
            if inside.split("/")[0] not in {"nginx", "keepalived"}:
                continue
            target = machine.folder / "etc/techsapo" / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(as_here(file.content, data, drain))
            target.chmod(file.mode)
        names = "".join(f"{other.address} app-1 app-2\n" for other in lab.machines)
        (machine.folder / "etc/hosts").write_text(f"127.0.0.1 localhost\n{names}")


def as_here(content: str, data: Path, drain: int) -> str:
    """A generated file with what only the images have in place of it: a data folder, a newer nginx.

    `drain` is for how many seconds nginx serves on.
    """
    kept = (line for line in content.splitlines(keepends=True) if not line.strip().startswith("resolver"))
    return (
        "".join(kept)
        .replace(" resolve weight=", " weight=")
        .replace("=/data/", f"={data}/")
        .replace(f"sleep {DRAIN_SECONDS} &", f"sleep {drain} &")
        .replace("-f /data/", f"-f {data}/")
    )


def script_pids(machine: Bare) -> list[str]:
    """The pids of nginx's start script."""
    lines = machine.run("ps", "-eo", "pid=,args=").stdout.splitlines()
    return [line.split()[0] for line in lines if "nginx/start.sh" in line and "nsenter" not in line]


@contextmanager
def running_front(drain: int = DRAIN_SECONDS) -> Iterator[Front]:
    """Three machines with apps, nginx and keepalived. Needs root."""
    with ExitStack() as stack:
        # Not below pytest's own folder, which the workers of nginx may not enter.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="techsapo-front-")))
        folder.chmod(0o755)
        lab = stack.enter_context(segment(folder))
        write_files(lab, drain)
        made = Front(lab)
        for machine in lab.machines:
            app = (sys.executable, str(HERE / "front_app.py"), machine.address, "4000", machine.name)
            machine.start(*app, log="app.log")
            made.start_nginx(machine)
        for machine in lab.machines:
            made.start_keepalived(machine)
        yield made
