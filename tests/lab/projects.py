"""Projects on free ports, driven through the real command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import warm
import yaml
from servers import free_port, tcp_open, wait_for

import techsapo_ops
from techsapo_ops.adapters.http import BasicLogin
from techsapo_ops.apply.ledger import Ledger
from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.engines.native import processes
from techsapo_ops.engines.native.recorded import NativeStack
from techsapo_ops.services.monitor import USER, password_file
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.observed import ObservedService


def small_spec(**sections: Any) -> dict[str, Any]:
    """App, Redis, Prometheus and Alertmanager on free ports; no exporters."""
    off = {"enabled": False}
    return {
        "project": "lab",
        "app": {"port": free_port(), "drain": "0s"},
        "redis": {"port": free_port()},
        "nginx": {
            "listen": free_port(),
            "tls_listen": free_port(),
        },  # it runs where a test wants certificates
        "monitoring": {
            "prometheus": {"port": free_port()},
            "alertmanager": {"port": free_port()},
            "grafana": off,
            "exporters": dict.fromkeys(("node", "redis", "mysqld", "nginx", "blackbox")),
        },
        **sections,
    }


def only_redis(**sections: Any) -> dict[str, Any]:
    """The smallest stack: Redis and the app."""
    spec = small_spec(**sections)
    for name in ("prometheus", "alertmanager"):
        spec["monitoring"][name]["enabled"] = False
    return spec


@dataclass
class Project:
    """A folder with a spec; `run` is the command line on it."""

    directory: Path
    spec: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    launcher: tuple[str, ...] = ()
    """What the command line is started by, such as setpriv."""
    python: str = sys.executable
    """Python of the installation that is run."""

    def __post_init__(self) -> None:
        self.write()

    @property
    def state(self) -> Path:
        return self.directory / ".techsapo"

    @property
    def layout(self) -> Layout:
        return Layout(state=self.state, config=self.state / "generated")

    def write(self, **sections: Any) -> None:
        self.spec = {**self.spec, **sections}
        (self.directory / "techsapo.yaml").write_text(yaml.safe_dump(self.spec), encoding="utf-8")

    def argv(self, *arguments: str) -> list[str]:
        return [*self.launcher, self.python, "-m", "techsapo_ops", *arguments]

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        return warm.popen(
            self.argv(*arguments),
            {**os.environ, "NO_COLOR": "1", **self.environment},
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int = 0, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run `techsapo …` to its end and see that it ends with `code`."""
        process = self.popen(*arguments)
        stdout, stderr = process.communicate(timeout=timeout)
        said = f"techsapo {' '.join(arguments)}: {process.returncode}\n{stdout}{stderr}"
        assert process.returncode == code, said
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def health(self) -> dict[str, Any]:
        """What `techsapo health --json` says, whatever its exit code."""
        said: dict[str, Any] = json.loads(self.popen("health", "--json").communicate(timeout=60)[0])
        return said

    def well(self) -> None:
        """Wait until `techsapo health` says healthy: an app that answers may still open its audit log."""
        said: dict[str, Any] = {}

        def healthy() -> bool:
            said.update(self.health())
            return bool(said["status"] == "healthy")

        try:
            wait_for(healthy, what="healthy")
        except AssertionError as error:
            raise AssertionError([p for p in said["probes"] if p["status"] != "healthy"]) from error

    def applies(self) -> tuple[LedgerEntry, ...]:
        """What the ledger has of this stack."""
        return Ledger(self.state).entries()

    def findings(self, code: int = 100) -> dict[str, str]:
        """What `techsapo changes drift`, which ends with `code`, says of each name."""
        report = json.loads(self.run("changes", "drift", "--json", code=code).stdout)
        return {f["name"]: f["what"] for f in report["findings"]}

    def login(self, kind: str) -> dict[str, str]:
        """The header by which Prometheus or Alertmanager of this stack lets one in."""
        return BasicLogin(USER, password_file(self.layout, kind)).headers()

    def ask(self, kind: str, path: str) -> Any:
        """What Prometheus or Alertmanager of this stack answers, as JSON, asked with its login."""
        port = self.spec["monitoring"][kind]["port"]
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", headers=self.login(kind))
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus of this stack finds."""
        answer = self.ask("prometheus", f"api/v1/query?query={quote(expression)}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def override(self, name: str, text: str) -> Path:
        """Write a template of the user's own."""
        path = self.directory / "template-overrides" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def services(self) -> dict[str, ObservedService]:
        """The services as `ps` sees them, without the start of a process."""
        return dict(NativeStack(self.layout).observe().services)

    def pids(self) -> dict[str, int | None]:
        return {name: s.pid for name, s in self.services().items()}

    def members(self) -> list[psutil.Process]:
        """Every process of this stack."""
        return processes.find(self.state, self.state / "run")

    def supervisor(self) -> psutil.Process:
        return next(p for p in self.members() if processes.is_supervisor(p))

    def ports(self) -> list[int]:
        monitoring = self.spec["monitoring"]
        found = [self.spec["app"].get("port"), self.spec["redis"]["port"]]
        return [
            p for p in (*found, monitoring["prometheus"]["port"], monitoring["alertmanager"]["port"]) if p
        ]

    def assert_gone(self) -> None:
        """No process and no port is left."""
        assert [p.cmdline() for p in self.members()] == []
        assert [p for p in self.ports() if tcp_open(p)] == []


@dataclass(frozen=True)
class Installed:
    """A copy of this package, installed on its own; its files may be changed."""

    python: str
    package: Path

    def edit(self, file: str, old: str, new: str) -> None:
        """Change the code, as `git pull` does."""
        path = self.package / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


def installed_copy(folder: Path, source: Path = Path(techsapo_ops.__file__).parents[1]) -> Installed:
    """Install the checkout `source` below `folder`, with a Python environment that has our dependencies."""
    for name in ("techsapo_ops", "templates"):
        shutil.copytree(source / name, folder / name)
    (folder / ".ci").mkdir()
    shutil.copy(source / ".ci/requirements.lock", folder / ".ci")
    venv.create(folder / "venv", symlinks=True)
    site = next((folder / "venv/lib").glob("python*")) / "site-packages"
    ours = sysconfig.get_path("purelib")
    (site / "lab.pth").write_text(f"{folder}\n{ours}\n", encoding="utf-8")
    return Installed(str(folder / "venv/bin/python"), folder / "techsapo_ops")


def another_user(uid: int, *, groups: str = "") -> tuple[str, ...]:
    """What starts a command as the user `uid`. Needs root."""
    return (
        "setpriv", f"--reuid={uid}", f"--regid={uid}", f"--groups={groups}" if groups else "--clear-groups",
        # The right to read is for a Python that stands in root's own folder, as on some test machines.
        "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search", "--",
    )  # fmt: skip


@contextmanager
def project(spec: dict[str, Any], name: str = "project", python: str = sys.executable) -> Iterator[Project]:
    """A project in a folder that service users can reach; its processes are gone at the end."""
    top = Path(tempfile.mkdtemp(prefix="techsapo-lab-"))
    top.chmod(0o755)
    directory = top / name
    directory.mkdir()
    # Without it each new stack would first ask Docker's daemon for all its images.
    made = Project(directory, {"engine": "native", **spec}, python=python)
    try:
        yield made
    finally:
        kill_all(made)
        shutil.rmtree(top)


def kill_all(made: Project) -> None:
    """End what runs at once, the supervisor first; `down` takes seconds, and no data is to be kept."""
    for _ in range(100):
        if not (found := made.members()):
            return
        for process in sorted(found, key=processes.is_supervisor, reverse=True):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=0.1)
    raise AssertionError(f"still there: {[p.cmdline() for p in made.members()]}")
