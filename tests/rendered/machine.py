"""A made-up machine: its programs, its users, and a run of techsapo on it as a fork of this process."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import pkgutil
import pwd
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = "techsapo_ops"
UID = 1000
USERS = {"techsapo": 10001, "www-data": 33, "redis": 110, "mysql": 111, "prometheus": 112, "grafana": 113}
SERVERS = (
    "nginx", "redis-server", "mariadbd", "prometheus", "prometheus-alertmanager", "grafana-server", "grafana",
    "prometheus-node-exporter", "prometheus-redis-exporter", "prometheus-mysqld-exporter",
    "prometheus-nginx-exporter", "prometheus-blackbox-exporter",
)  # fmt: skip
TOOLS = (
    "promtool", "amtool", "mariadb", "mariadb-install-db", "mariadb-dump", "mariadb-admin", "redis-cli",
    "logrotate", "systemctl", "systemd-analyze", "setpriv", "apt-get", "node", "npm", "zstd", "restic",
)  # fmt: skip
DOCKER = """#!/bin/sh
case "$1" in
  version) echo 28.1.1 ;;
  compose) [ "$2" != version ] || echo 2.39.1 ;;
esac
"""
"""A daemon that answers and has nothing."""
CRONTAB = """#!/bin/sh
[ "$1" != -l ] || { echo "no crontab for $USER" >&2; exit 1; }
/bin/cat > "$HOME/crontab"
"""


@dataclass(frozen=True)
class Host:
    """A machine as techsapo finds it."""

    root: bool = False
    bare: bool = False
    """Without any program of the stack."""


HOSTS = {"user": Host(), "root": Host(root=True), "bare": Host(bare=True)}


@dataclass(frozen=True)
class Machine:
    """Where the made-up programs are, and what is replaced in all that is written."""

    home: Path

    def path(self, *, bare: bool = False, tools: bool = True) -> str:
        """A PATH on which the stack's programs are, and the tools that check and help."""
        if bare:
            return str(self.home / "none")
        return f"{self.home}/bin:{self.home}/tools" if tools else f"{self.home}/bin"

    def cleaned(self, text: bytes, project: Path | None = None) -> bytes:
        """`text` without this machine's folders and this checkout's version."""
        version = import_module(PACKAGE).__version__
        names = [
            *([(str(project), "<project>")] if project is not None else []),
            (str(self.home), "<home>"),
            (sys.prefix, "<venv>"),
            (str(CHECKOUT), "<checkout>"),
            (sys.base_prefix, "<python>"),
            (f"/app:{version}", "/app:<version>"),
        ]
        for found, name in names:
            text = text.replace(found.encode(), name.encode())
        return text


def is_root() -> bool:
    """Whether this process may give files away, as root's stacks do."""
    return os.geteuid() == 0


def load_everything() -> None:
    """Import all modules, so that each command is a fork that has them already."""
    package = import_module(PACKAGE)
    for module in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    gc.freeze()


def make_programs(home: Path) -> None:
    nothing = "#!/bin/sh\nexit 0\n"
    tools = {**dict.fromkeys(TOOLS, nothing), "docker": DOCKER, "crontab": CRONTAB}
    for folder, texts in {"none": {}, "bin": dict.fromkeys(SERVERS, nothing), "tools": tools}.items():
        (home / folder).mkdir()
        for name, text in texts.items():
            (home / folder / name).write_text(text)
            (home / folder / name).chmod(0o755)


def techsapo(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], host: Host = HOSTS["user"]
) -> tuple[bytes, bytes, int]:
    """Run `techsapo words…` as the installed program would; stdout, stderr and the exit code."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            try:
                _become(folder, environment, host, out.fileno(), err.fileno())
                _enter(words)
            except SystemExit as end:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
            except BaseException:  # noqa: BLE001 - shown as Python would, and never raised in the parent
                sys.excepthook(*sys.exc_info())
                sys.stderr.flush()
                os._exit(70)
            sys.stdout.flush()
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        out.seek(0)
        err.seek(0)
        return out.read(), err.read(), code


def _become(folder: Path, environment: Mapping[str, str], host: Host, out: int, err: int) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(folder)
    os.umask(0o022)
    os.environ.clear()
    os.environ.update({"LANG": "C.UTF-8", "NO_COLOR": "1", "COLUMNS": "100", "TZ": "UTC", "USER": "somebody"})
    os.environ.update(environment)
    time.tzset()
    uid = 0 if host.root else UID
    fixed: dict[str, Callable[..., Any]] = {
        "geteuid": lambda: uid, "getuid": lambda: uid, "getegid": lambda: uid, "getgid": lambda: uid,
        "cpu_count": lambda: 4, "getgrouplist": lambda _, gid: [gid],
    }  # fmt: skip
    for name, call in fixed.items():
        setattr(os, name, call)
    root_path = sys.modules.get("techsapo_ops.cli.process")
    if root_path is not None:  # root searches a fixed path, which an older tree had not
        root_path.ROOT_PATH = os.environ["PATH"]  # type: ignore[attr-defined]
    pwd.getpwnam = _user
    pwd.getpwuid = _user_of
    socket.gethostname = lambda: "host.example"


def _user(name: str) -> Any:
    if name == "root":
        return SimpleNamespace(pw_name=name, pw_uid=0, pw_gid=0, pw_dir="/root", pw_shell="/bin/sh")
    uid = USERS[name]
    return SimpleNamespace(pw_name=name, pw_uid=uid, pw_gid=uid, pw_dir=f"/var/lib/{name}", pw_shell="")


def _user_of(uid: int) -> Any:
    known = {0: "root", UID: "somebody", **{uid: name for name, uid in USERS.items()}}
    return SimpleNamespace(pw_name=known[uid], pw_uid=uid, pw_gid=uid, pw_dir=f"/home/{known[uid]}")


def _enter(words: Sequence[str]) -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="techsapo")
    sys.argv = ["techsapo", *words]
    script.load()()
