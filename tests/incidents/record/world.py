"""One machine for one recording, in namespaces of its own: its folders, disks, programs and what happened.

Everything below runs as root in fresh mount, network, process and host name namespaces (`__main__.py` makes
them), so that ports and paths are the usual ones and everything ends with the namespaces' first process.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import psutil

from techsapo_ops.adapters.log_lines import line_level
from techsapo_ops.incidents.material import Change, ChangeKind, Level, Line

APPS = Path(__file__).parent / "apps"
HOST = "web-1"
PYTHON = "/usr/bin/python3"
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
CGROUPS = Path("/sys/fs/cgroup")
_NAMES = {
    "localhost": "127.0.0.1", "shop.example": "127.0.0.30", "www.shop.example": "127.0.0.30",
    "db.internal": "127.0.0.11", "redis.internal": "127.0.0.12", "replica.internal": "127.0.0.13",
}  # fmt: skip


def run(*argv: str, check: bool = True) -> str:
    """What a command prints, both streams."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{shlex.join(argv)}: {done.stdout[-2000:]}")
    return done.stdout


@dataclass
class Unit:
    """A program that is started, watched and restarted, as systemd does."""

    name: str
    argv: Sequence[str]
    user: str = "www-data"
    restarts: bool = True
    files: int = 0
    """The most open files; 0 is the machine's own."""
    memory: int = 0
    """The most bytes, by a control group; 0 has no limit."""
    cpu_group: str = ""
    process: subprocess.Popen[bytes] | None = None
    count: int = 0
    kills: int = 0
    stopped: bool = False

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def group(self) -> Path:
        return CGROUPS / "memory" / f"recorded-{os.environ['RECORD_ID']}-{self.name}"


class World:
    """The machine.

    Programs are in `units`, what was done to it in `changes`, what its service manager said in `lines`.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        self.units: dict[str, Unit] = {}
        self.changes: list[Change] = []
        self.lines: list[Line] = []
        self.cpu_groups: set[Path] = set()
        self._ending = False

    def set_up(self) -> None:
        """Make the folders that programs write to the machine's own."""
        run("mount", "--make-rprivate", "/")
        run("hostname", HOST)
        run("ip", "link", "set", "lo", "up")
        for name in ("etc", "etc.work", "lib", "log", "opt", "run", "backups"):
            (self.work / name).mkdir()
        upper = f"lowerdir=/etc,upperdir={self.work}/etc,workdir={self.work}/etc.work"
        run("mount", "-t", "overlay", "overlay", "-o", upper, "/etc")
        for path in ("/var/lib", "/var/log", "/var/backups", "/opt", "/run"):
            run("mount", "--bind", str(self.work / Path(path).name), path)
        for path in ("log/shop", "log/nginx", "lib/shop", "lib/nginx"):
            Path("/var", path).mkdir()
        Path("/etc/shop").mkdir()
        Path("/etc/psp").mkdir()
        hosts = "".join(f"{address} {name}\n" for name, address in _NAMES.items())
        resolvers = "nameserver 127.0.0.53\nnameserver 127.0.0.54\noptions timeout:2 attempts:2\n"
        for path, text in (("/etc/hosts", hosts), ("/etc/resolv.conf", resolvers)):
            Path(path).unlink()
            Path(path).write_text(text)

    def disk(self, path: str, megabytes: str, *options: str, owner: str = "www-data") -> None:
        """Mount a new ext4 file system of that size."""
        image = self.work / f"{path.strip('/').replace('/', '-')}.img"
        with image.open("wb") as file:
            file.truncate(int(megabytes) << 20)
        run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", *options, str(image))
        Path(path).mkdir(parents=True, exist_ok=True)
        run("mount", "-o", "loop", str(image), path)
        shutil.rmtree(Path(path) / "lost+found")
        shutil.chown(path, owner, owner)

    def folder(self, path: str, owner: str = "www-data") -> None:
        Path(path).mkdir(parents=True, exist_ok=True)
        shutil.chown(path, owner, owner)

    def start(self, unit: Unit) -> Unit:
        self.units[unit.name] = unit
        unit.stopped = False
        self._spawn(unit)
        threading.Thread(target=self._watch, args=(unit,), daemon=True).start()
        return unit

    def stop(self, name: str, with_signal: int = signal.SIGTERM) -> None:
        unit = self.units[name]
        unit.stopped = True
        assert unit.process is not None
        os.kill(unit.pid, with_signal)
        unit.process.wait(20)
        self.says(name, "", f"{name}.service: stopped")

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start(self.units[name])

    def _spawn(self, unit: Unit) -> None:
        prefix: list[str] = []
        steps = [f"ulimit -n {unit.files}"] if unit.files else []
        if unit.memory:
            unit.group.mkdir(exist_ok=True)
            (unit.group / "memory.limit_in_bytes").write_text(str(unit.memory))
            steps.append(f"echo $$ > {unit.group}/tasks")
        if unit.cpu_group:
            steps.append(f"echo $$ > {self.cpu_group(unit.cpu_group)}/tasks")
        if steps:
            prefix += ["sh", "-c", " && ".join([*steps, 'exec "$@"']), "sh"]
        if unit.user != "root":
            prefix += ["setpriv", f"--reuid={unit.user}", f"--regid={unit.user}", "--clear-groups"]
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SSL_CERT_FILE": "/etc/shop/ca.pem",
            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": "/opt/python", "HOME": "/var/lib",
        }  # fmt: skip
        unit.process = subprocess.Popen(
            [*prefix, *unit.argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env=environment, cwd="/",
        )  # fmt: skip
        threading.Thread(target=self._listen, args=(unit.name, unit.process.stdout), daemon=True).start()
        self.says(unit.name, "", f"{unit.name}.service: started with pid {unit.pid}")

    def _listen(self, name: str, output: IO[bytes]) -> None:
        """Note what a program prints, when it prints it, as journald does; not what is information."""
        for line in output:
            text = line.decode(errors="replace").rstrip()
            level = line_level(text)
            if text and level not in {"info", "debug"}:
                self.says(name, "warning" if level == "warn" else "error" if level == "error" else "", text)

    def cpu_group(self, name: str) -> Path:
        path = CGROUPS / "cpu" / f"recorded-{os.environ['RECORD_ID']}-{name}"
        if path not in self.cpu_groups:
            path.mkdir(exist_ok=True)
            self.cpu_groups.add(path)
        return path

    def _watch(self, unit: Unit) -> None:
        """Restart a unit that ends by itself, after two seconds, as its service manager would."""
        while (process := unit.process) is not None:
            status = process.wait()
            if self._is_over(unit, process):
                return
            how = (
                f"killed by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
            )
            self.says(unit.name, "error" if status else "", f"{unit.name}.service: main process {how}")
            if self._kernel_kills(unit):
                text = f"the kernel killed {unit.name}: its control group had no memory left"
                self.change("oom", text, unit.name)
            if not unit.restarts:
                return
            time.sleep(2)
            if self._is_over(unit, process):
                return
            unit.count += 1
            self._spawn(unit)
            self.change("restart", f"{unit.name} was restarted ({unit.count}): its process {how}", unit.name)

    def _is_over(self, unit: Unit, process: subprocess.Popen[bytes]) -> bool:
        return unit.stopped or self._ending or unit.process is not process

    def _kernel_kills(self, unit: Unit) -> bool:
        if not unit.memory:
            return False
        control = (unit.group / "memory.oom_control").read_text()
        kills = int(re.findall(r"oom_kill (\d+)", control)[0])
        new = kills > unit.kills
        unit.kills = kills
        return new

    def end(self) -> None:
        """End every unit by its pid."""
        self._ending = True
        for unit in self.units.values():
            if unit.process is not None:
                unit.process.kill()
                unit.process.wait(20)
        for folder in [*self.cpu_groups, *(unit.group for unit in self.units.values() if unit.memory)]:
            inside = folder / "cgroup.procs"
            for pid in inside.read_text().split():  # children that their unit left behind
                os.kill(int(pid), signal.SIGKILL)
            wait_until(lambda inside=inside: not inside.read_text().strip(), str(folder))  # type: ignore[misc]
            folder.rmdir()

    def says(self, service: str, level: Level, text: str) -> None:
        """A line of the service manager about a unit."""
        self.lines.append(Line(datetime.now(UTC), text, service, HOST, level))

    def change(self, kind: ChangeKind, text: str, service: str = "", detail: str = "") -> None:
        self.changes.append(Change(datetime.now(UTC), kind, text, detail, service, HOST))

    def event(self, text: str, service: str = "") -> None:
        self.change("event", text, service)

    def rewrite(self, path: str, replace: Mapping[str, str], service: str) -> None:
        """Change a configuration file, as an apply does, and record its diff."""
        file = Path(path)
        before = after = file.read_text()
        for old, new in replace.items():
            assert old in after, (path, old)
            after = after.replace(old, new)
        file.write_text(after)
        diff = difflib.unified_diff(before.splitlines(), after.splitlines(), path, path, lineterm="", n=1)
        self.change("apply", f"applied a change of {path}", service, "\n".join(diff))

    def job(self, name: str, script: str, service: str = "", user: str = "root") -> None:
        """Run a script of Python or of the shell as cron would; record how it ended and what it printed."""
        file = Path("/opt/jobs") / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(script)
        began = time.monotonic()
        self.cron(f"({user}) CMD ({file})")
        rights = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        done = subprocess.run(
            [*rights, PYTHON if "import" in script else "/bin/sh", str(file)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": "/opt/python"},
        )  # fmt: skip
        printed = done.stdout.splitlines()[-5:]
        for line in printed:
            self.cron(f"{name}: {line}")
        took = f"{name} ended with status {done.returncode} after {time.monotonic() - began:.0f} s"
        self.change("job", took, service, "\n".join(printed))

    def cron(self, text: str) -> None:
        with Path("/var/log/cron.log").open("a") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}Z {HOST} CRON: {text}\n")

    def later(self, work: Callable[[], object]) -> threading.Thread:
        """Do something while the recording goes on."""
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def install(self, service: str, version: str, patches: Mapping[str, str] | None = None) -> None:
        """Lay a release of a service into /opt; `patches` are the changes of its source."""
        folder = Path("/opt") / service / version
        shutil.copytree(APPS, folder, ignore=shutil.ignore_patterns("__pycache__", "outside.py"))
        for old, new in (patches or {}).items():
            hits = [file for file in folder.iterdir() if old in file.read_text()]
            assert hits, f"no {old!r} in the source"
            for file in hits:
                file.write_text(file.read_text().replace(old, new))
        link = Path("/opt") / service / "current"
        link.unlink(missing_ok=True)
        link.symlink_to(version)

    def deploy(self, service: str, version: str, patches: Mapping[str, str] | None = None) -> None:
        """Install a release, restart its service, and say so as a team's pipeline does."""
        self.install(service, version, patches)
        self.restart(service)
        self.event(f"deployed {service} {version}", service)


def processes_of(unit: Unit) -> list[psutil.Process]:
    """The process of a unit and its children, while they live."""
    if unit.process is None:
        return []
    try:
        first = psutil.Process(unit.pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for a condition, asked five times a second. Raises TimeoutError."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError(what)
        time.sleep(0.2)


def say(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)
