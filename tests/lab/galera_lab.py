"""Members of a MariaDB cluster as the stack starts them, each on a network of its own whose cable can be cut.

Needs root. What a container is given is rendered as for containers; only its folders are elsewhere.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from servers import wait_for
from stacks import host

from techsapo_ops.render.templates import Templates
from techsapo_ops.services.made_secrets import made_key
from techsapo_ops.services.mysql.kind import INIT_SQL
from techsapo_ops.services.mysql.member import KEY
from techsapo_ops.services.registry import kind_of, resolve
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import MACHINES
from techsapo_ops.stack.topology import Topology

DATABASE, USER, PASSWORD = "techsapo_audit", "techsapo", "lab-app"
NETWORK = "10.98.61"
_AGAIN = """
trap 'kill -TERM $run; wait $run; exit' TERM
while :; do bash "$@" & run=$!; wait $run; sleep 0.5; done
"""
"""As the engine starts a container anew that has ended, and passes on that it is to end."""
ENTRYPOINT = Path(__file__).parent / "images" / "mariadb-entrypoint.sh"


def _run(*words: str | Path, within: int | None = None) -> None:
    inside = ("nsenter", f"--net=/proc/{within}/ns/net") if within is not None else ()
    subprocess.run([*inside, *map(str, words)], check=True, capture_output=True)


def _alone() -> subprocess.Popen[bytes]:
    """A process with a network of its own, which is there as long as it is."""
    process = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], start_new_session=True)
    own = Path("/proc/self/ns/net").readlink()

    def moved() -> bool:
        with suppress(OSError):
            return Path(f"/proc/{process.pid}/ns/net").readlink() != own
        return False

    wait_for(moved, what="a network of its own")
    return process


@dataclass
class Member:
    """One member; `name` is its address too. `holder` is the process whose network it is on."""

    name: str
    folder: Path
    holder: subprocess.Popen[bytes]
    cable: str
    hub: int
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def owner(self) -> pwd.struct_passwd:
        """The user as whom its container runs."""
        return pwd.getpwnam("mysql")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def script(self) -> Path:
        return self.folder / "config" / "mysql" / "member.sh"

    def inside(self, *words: str | Path, user: str | None = None) -> list[str]:
        """`words` as a command on its network, as `user`."""
        who = ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups") if user else ()
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *who, *map(str, words)]

    def start(self) -> None:
        """As the engine starts a container."""
        assert self.process is None or self.process.poll() is not None
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.inside("bash", "-c", _AGAIN, "again", self.script, self.name, user="mysql"),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(self.environment),
                start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """kill -9 of all that runs there, as where the power goes."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def stop(self) -> None:
        """As the engine ends a container."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)

    def cut(self, *, off: bool = True) -> None:
        """Pull its cable, or plug it in again."""
        _run("ip", "link", "set", self.cable, "down" if off else "up", within=self.hub)

    def sql(self, text: str, *, timeout: float = 20.0) -> list[list[str]]:
        """Rows, as root of its container; raises CalledProcessError or TimeoutExpired."""
        argv = ["mariadb", "--no-defaults", f"--socket={self.folder}/run/mysqld.sock", "--user=root", "-BN"]
        done = subprocess.run(
            [*argv, f"--execute={text}"], check=True, capture_output=True, text=True, timeout=timeout
        )
        return [line.split("\t") for line in done.stdout.splitlines()]

    def script_says(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What the script answers where the member is."""
        return subprocess.run(
            self.inside("bash", self.script, *words, user="mysql"),
            check=False, capture_output=True, text=True, timeout=60, env=dict(self.environment),
        )  # fmt: skip

    @property
    def answers(self) -> bool:
        """Whether it takes statements."""
        with suppress(subprocess.SubprocessError):
            return bool(self.sql("SELECT 1", timeout=5))
        return False

    def status(self, name: str) -> str:
        """A value of SHOW STATUS; empty while it does not answer."""
        with suppress(subprocess.SubprocessError):
            return self.sql(f"SHOW GLOBAL STATUS LIKE '{name}'", timeout=5)[0][1]
        return ""

    def synced(self, size: int) -> bool:
        """Whether it is in a primary component of `size` members, and up to date."""
        wanted = {
            "wsrep_cluster_size": str(size),
            "wsrep_cluster_status": "Primary",
            "wsrep_local_state_comment": "Synced",
        }
        names = ", ".join(f"'{name}'" for name in wanted)
        with suppress(subprocess.SubprocessError):
            return dict(self.sql(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({names})", timeout=5)) == wanted
        return False

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


class Cluster:
    """The members, and what is on their networks."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members

    def seed(self) -> None:
        """Give each the same new database, as a cluster's at its first position.

        What the first start does takes half a minute: the script with which MariaDB copies all data waits for
        ten seconds each time.
        """
        first, *others = self.members
        # The server that sets it up has another socket, and no wsrep.
        self._once(
            first, first.folder / "bin" / "docker-entrypoint.sh",
            "mariadbd", f"--defaults-file={first.folder}/config/mysql/my.cnf", "--wsrep-new-cluster",
            "--wsrep-cluster-address=gcomm://", f"--wsrep-node-address={first.name}",
        )  # fmt: skip
        for other in others:
            shutil.rmtree(other.data)
            shutil.copytree(first.data, other.data)
        for path in (path for member in self.members for path in (member.data, *member.data.rglob("*"))):
            os.chown(path, first.owner.pw_uid, first.owner.pw_gid)

    @staticmethod
    def _once(member: Member, *words: str | Path) -> None:
        with (member.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                member.inside(*words, user="mysql"), stdout=log, stderr=log, env=dict(member.environment)
            )
        try:
            wait_for(lambda: member.answers, timeout=180, what="a database")
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise

    def start(self) -> None:
        for member in self.members:
            member.start()

    def wait(self, *members: Member, timeout: float = 240.0) -> None:
        """Until `members`, or all, are synced in one primary component of as many."""
        wanted = members or tuple(self.members)

        for member in wanted:
            try:
                wait_for(
                    partial(member.synced, len(wanted)),
                    timeout=timeout,
                    what=f"{member.name} in the cluster",
                )
            except AssertionError as error:
                told = "\n".join(f"--- {each.name}\n{each.log()[-4000:]}" for each in self.members)
                raise AssertionError(f"{error}\n{told}") from None


def three_machines(folder: Path) -> Topology:
    """A stack with a member on each of three machines; its own folders would be in `folder`."""
    hosts = {f"n{n}": {"address": f"10.0.0.{n}", "docker": f"ssh://ops@n{n}"} for n in (1, 2, 3)}
    spec = Spec.model_validate({"project": "lab", "engine": "swarm", "mysql": {}, "hosts": hosts})
    return resolve(spec, MACHINES, Layout(folder / "state", folder / "config"), host())


@contextmanager
def cluster(topology: Topology, templates: Templates) -> Iterator[Cluster]:
    """The members of `topology`, not started yet."""
    root = Path(tempfile.mkdtemp(prefix="techsapo-galera-"))
    root.chmod(0o755)
    hub = _alone()
    members: list[Member] = []
    try:
        _run("ip", "link", "add", "hub", "type", "bridge", within=hub.pid)
        _run("ip", "link", "set", "hub", "up", within=hub.pid)
        names = {
            service.name: f"{NETWORK}.{n}" for n, service in enumerate(topology.of_kind("mysql"), start=1)
        }
        members += (_member(root, name, hub.pid, topology, templates, names) for name in names.values())
        yield Cluster(members)
    finally:
        for member in members:
            member.kill()
            member.holder.kill()
            member.holder.wait(10)
        hub.kill()
        hub.wait(10)
        shutil.rmtree(root, ignore_errors=True)


def _member(
    root: Path, name: str, hub: int, topology: Topology, templates: Templates, names: Mapping[str, str]
) -> Member:
    folder = root / name.rpartition(".")[2]
    for each in ("data", "run", "config/mysql", "init", "secrets", "bin", "tmp"):
        (folder / each).mkdir(parents=True)
    places = {
        "/var/lib/mysql": folder / "data", "/run/mysqld": folder / "run", "/etc/techsapo": folder / "config",
        "/run/secrets": folder / "secrets", "/docker-entrypoint-initdb.d": folder / "init", **names,
    }  # fmt: skip

    def moved(text: str) -> str:
        for old, new in places.items():
            text = text.replace(old, str(new))
        return text

    for file in kind_of(topology.of_kind("mysql")[0]).files(topology, templates):
        target = folder / "init" / "grants.sql" if file.path == INIT_SQL else folder / "config" / file.path
        # 128M each are kept free for what a member missed; here it misses little.
        target.write_text(moved(file.content).replace("gcache.size=128M", "gcache.size=16M"))
    entry = folder / "bin" / "docker-entrypoint.sh"
    entry.write_text(moved(ENTRYPOINT.read_text()))
    entry.chmod(0o755)
    key = root / KEY
    made_key(key, "mysql")
    shutil.copy(key, folder / "secrets" / KEY)
    (folder / "secrets" / "app").write_text(PASSWORD)
    holder = _alone()
    number = folder.name
    _run(
        "ip",
        "link",
        "add",
        f"m{number}",
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "netns",
        str(holder.pid),
        within=hub,
    )
    _run("ip", "link", "set", f"m{number}", "master", "hub", "up", within=hub)
    _run("ip", "link", "set", "lo", "up", within=holder.pid)
    _run("ip", "address", "add", f"{name}/24", "dev", "eth0", within=holder.pid)
    _run("ip", "link", "set", "eth0", "up", within=holder.pid)
    environment = {
        "PATH": f"{folder}/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
        "TMPDIR": str(folder / "tmp"), "LANG": "C.UTF-8",
        "MARIADB_DATABASE": DATABASE, "MARIADB_USER": USER,
        "MARIADB_PASSWORD_FILE": str(folder / "secrets" / "app"), "MARIADB_RANDOM_ROOT_PASSWORD": "1",
    }  # fmt: skip
    member = Member(name, folder, holder, f"m{number}", hub, environment)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, member.owner.pw_uid, member.owner.pw_gid)
    return member
