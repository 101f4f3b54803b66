"""What techsapo says and writes, as files, to compare two trees: a rebuild changes nothing of it.

    python -m tests.rendered DIR [WORD…]      of this file's checkout; with words, only stacks called so
    python -m tests.rendered --compare BEFORE AFTER [--diff]

Everything goes through the command line as an installed program has it, and no module is named, so that the
same file runs in both trees. Below `stacks/` is every file that `techsapo generate` writes, with modes and
owners, and the plan, for the examples and the specs of tests/cases/rendered.yaml on several hosts; below
`cli/` every command's help, the schema and `explain`; below `api/` the OpenAPI document, the metrics and the
pages.

Nothing of the machine stays in it: users, executables and the count of processors are made up, and the
folders of the project, of Python and of the checkout are replaced by their names in <>.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import gc
import importlib.metadata
import json
import os
import pkgutil
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
CASES = Path(__file__).with_name("cases") / "rendered.yaml"
PACKAGE = "techsapo_ops"
UID = 1000
USERS = {"techsapo": 10001, "www-data": 33, "redis": 110, "mysql": 111, "prometheus": 112, "grafana": 113}
SERVERS = (
    "nginx", "redis-server", "mariadbd", "prometheus", "prometheus-alertmanager", "grafana-server", "grafana",
    "prometheus-node-exporter", "prometheus-redis-exporter", "prometheus-mysqld-exporter",
    "prometheus-nginx-exporter",
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


BUILD = re.compile(r"\d+\.\d+\.\d+\+[0-9a-f]{10}(\.[0-9a-f]{6})?|(?<=techsapo/app:)[0-9a-f]{12}")
"""What names the package by its content."""
HOSTS = {"user": Host(), "root": Host(root=True), "bare": Host(bare=True)}


@dataclass(frozen=True)
class Case:
    """A spec and what stands beside it."""

    text: str
    variables: Mapping[str, str]
    files: Mapping[str, str]
    overlay: str | None = None
    hosts: Sequence[str] = ("user",)
    engines: Sequence[str] = ("native", "compose")


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


def cases() -> Iterator[tuple[str, Case]]:
    """The examples, each with and without the variables it speaks of, and the collected specs.

    Files of both engines are generated whichever one is chosen, so most collected specs take them in turn;
    and they are looked at by no tool, here one that does nothing, which takes the most time.
    """
    everywhere = tuple(HOSTS)
    for file in sorted((CHECKOUT / "examples").glob("*.yaml")):
        text = file.read_text(encoding="utf-8")
        yield f"example-{file.stem}", Case(text, {}, {}, hosts=everywhere)
        spoken = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "s3cret")
        for overlay in [None, *(yaml.safe_load(text).get("environments") or {})]:
            if spoken or overlay:
                variables = {**spoken, **({"GRAFANA_PASSWORD": "a-long-Pa55word!"} if overlay else {})}
                yield f"example-{file.stem}-{overlay or 'keys'}", Case(text, variables, {}, overlay)
    for number, (name, entry) in enumerate(yaml.safe_load(CASES.read_text(encoding="utf-8")).items()):
        text = json.dumps(entry["spec"], ensure_ascii=False, indent=1)
        files = entry.get("files", {})
        if entry.get("everywhere"):
            yield name, Case(text, {}, files, hosts=everywhere)
        else:
            yield name, Case(text, {}, files, engines=(("native", "compose")[number % 2],))


def render_all(target: Path, words: Sequence[str] = ()) -> None:
    """Write everything below the new folder `target`; with words, only stacks whose name has them all."""
    target.mkdir(parents=True)
    _load_everything()
    machine = Machine(Path(tempfile.mkdtemp(prefix="techsapo-rendered-")))
    machine.home.chmod(0o755)
    try:
        _programs(machine.home)
        for name, case in cases():
            if all(word in name for word in words):
                _stack(machine, target / "stacks" / name, case)
        if not words:
            _command_line(machine, target / "cli")
            _api(machine, target / "api")
    finally:
        shutil.rmtree(machine.home)


def _load_everything() -> None:
    """Import all modules, so that each command is a fork that has them already."""
    package = import_module(PACKAGE)
    for module in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    gc.freeze()


def _programs(home: Path) -> None:
    nothing = "#!/bin/sh\nexit 0\n"
    tools = {**dict.fromkeys(TOOLS, nothing), "docker": DOCKER, "crontab": CRONTAB}
    for folder, texts in {"none": {}, "bin": dict.fromkeys(SERVERS, nothing), "tools": tools}.items():
        (home / folder).mkdir()
        for name, text in texts.items():
            (home / folder / name).write_text(text)
            (home / folder / name).chmod(0o755)


def _stack(machine: Machine, target: Path, case: Case) -> None:
    """One spec with both engines on the hosts that it asks for."""
    for host_name in case.hosts:
        host = HOSTS[host_name]
        if host.root and os.geteuid() != 0:
            print("not root, so what root's stacks get is left out", file=sys.stderr)
            continue
        for engine in case.engines[:1] if host.bare else case.engines:
            project = Path(tempfile.mkdtemp(prefix="p", dir=machine.home))
            project.chmod(0o755)
            _write_project(project, case, engine)
            _one(machine, target / f"{host_name}-{engine}", project, case, host)
            shutil.rmtree(project)


def _write_project(project: Path, case: Case, engine: str) -> None:
    if case.text.startswith("{"):
        text = case.text.replace("{", f'{{"engine": "{engine}",', 1)
    else:
        text = f"engine: {engine}\n{case.text}"
    (project / "techsapo.yaml").write_text(text.replace("{here}", str(project)), encoding="utf-8")
    (project / "docker.sock").touch()
    for name, content in case.files.items():
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")


def _one(machine: Machine, target: Path, project: Path, case: Case, host: Host) -> None:
    target.mkdir(parents=True)
    options = [] if case.overlay is None else ["-e", case.overlay]
    environment = {
        **case.variables,
        "PATH": machine.path(bare=host.bare, tools=len(case.engines) > 1),
        "HOME": str(project / "home"),
    }
    (project / "home").mkdir()

    def run(name: str, *words: str) -> None:
        out, err, code = techsapo(words, project, environment, host)
        said = b"exit code %d\n%s%s" % (code, err, b"--\n" + out if out else b"")
        (target / f"{name}.txt").write_bytes(machine.cleaned(said, project))

    run("generate", "generate", *options)
    if len(case.engines) > 1:
        run("plan", "plan", *options)
        run("validate", "validate", *options)
        run("config", "config", "show", *options)
    if len(case.engines) > 1 and host == HOSTS["user"]:
        run("cron", "cron", "install", *options)
        run("timers", "cron", "install", "--systemd", *options)
    _keep(machine, project, target)


def _keep(machine: Machine, project: Path, target: Path) -> None:
    """Copy what was generated and installed, and list its modes and owners."""
    listed = []
    folders = {"generated": project / ".techsapo" / "generated", "home": project / "home"}
    for name, folder in folders.items():
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            path = f"{name}/{file.relative_to(folder)}"
            facts = file.stat()
            owner = next((user for user, uid in USERS.items() if uid == facts.st_uid), "own")
            listed.append(f"{facts.st_mode & 0o7777:04o} {owner:10} {path}\n")
            if file.name != ".manifest.json":  # digests of the files, folders of this machine included
                copy = target / path
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(machine.cleaned(file.read_bytes(), project))
    (target / "modes.txt").write_text("".join(listed))


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


def _command_line(machine: Machine, target: Path) -> None:
    """Help of every command, found by following what the help above it lists; schema, explain, templates."""
    empty = machine.home / "empty"
    empty.mkdir()
    (empty / "techsapo.yaml").write_text("project: techsapo\n")
    environment = {"PATH": machine.path(), "HOME": str(empty)}
    target.mkdir()

    def said(*words: str) -> str:
        out, err, code = techsapo(words, empty, environment)
        assert code == 0, f"techsapo {' '.join(words)}: {code}\n{err.decode()}"
        return machine.cleaned(out, empty).decode()

    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        words = waiting.pop()
        shown = said(*words, "--help")
        (target / f"help{''.join('-' + word for word in words)}.txt").write_text(shown, encoding="utf-8")
        waiting += [(*words, name) for name in subcommands(shown)]
    for name, words in {
        "schema.json": ("schema",),
        "explain.txt": ("explain",),
        "templates.txt": ("templates", "list"),
        "config.txt": ("config", "show"),
        "doctor.json": ("doctor", "--json"),
        "ps.json": ("ps", "--json"),
    }.items():
        out, err, code = techsapo(words, empty, environment)
        (target / name).write_bytes(machine.cleaned(b"exit code %d\n%s--\n%s" % (code, err, out), empty))


def subcommands(shown: str) -> list[str]:
    """Names of the commands that a help text lists: in any panel but those of options and arguments."""
    found, listing = [], False
    for line in shown.splitlines():
        if line.startswith("╭─"):
            listing = line.split()[1] not in {"Options", "Arguments"}
        elif listing and (name := re.match(r"│ ([a-z][a-z-]*) ", line)):
            found.append(name[1])
    return found


def _api(machine: Machine, target: Path) -> None:
    """The OpenAPI document, names and help of the metrics, and the pages, from a running `techsapo serve`."""
    folder = machine.home / "app"
    folder.mkdir()
    target.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spec = {"project": "techsapo", "redis": {"enabled": False}, "app": {"port": port, "drain": "0s"}}
    (folder / "techsapo.yaml").write_text(yaml.safe_dump(spec))
    argv = [sys.executable, "-m", PACKAGE, "serve", "--data", str(folder / "data"), "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for(f"{url}/ping")
        document = _get(f"{url}/openapi.json")
        (target / "openapi.json").write_bytes(
            machine.cleaned(document).replace(str(port).encode(), b"<port>")
        )
        metrics = _get(f"{url}/metrics").decode().splitlines()
        (target / "metrics.txt").write_text("\n".join(sorted(m for m in metrics if m.startswith("#"))) + "\n")
        for path in ("/", "/docs"):
            with contextlib.suppress(OSError):
                (target / f"page{path.replace('/', '-')}.html").write_bytes(_get(url + path))
    finally:
        server.terminate()
        server.wait(20)


def _get(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        return bytes(answer.read())


def _wait_for(url: str) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            _get(url)
            return
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def compare(before: Path, after: Path, *, diff: bool = False) -> int:
    """Print what differs, the same file of many stacks once; the number of files that differ."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    old, new = _files(before), _files(after)
    for path in sorted(old.keys() | new.keys()):
        if path not in new:
            what = "gone"
        elif path not in old:
            what = "new"
        elif _comparable(old[path]) != _comparable(new[path]):
            what = "differs"
        else:
            continue
        found[what, _kind(path)].append(path)
    for (what, kind), paths in found.items():
        print(
            f"{what:8} {kind}"
            + (f" ({len(paths)}: {', '.join(map(_where, paths[:3]))}…)" if _where(paths[0]) else "")
        )
        if diff and what == "differs":
            was, now = (_comparable(side[paths[0]]).splitlines() for side in (old, new))
            print(*difflib.unified_diff(was, now, "before", "after", lineterm="", n=1), sep="\n")
    count = sum(map(len, found.values()))
    print(f"{count} of {len(old.keys() | new.keys())} files differ")
    return count


def _comparable(file: Path) -> str:
    """Its text without what always differs between two trees or two moments; JSON on many lines."""
    text = file.read_text(encoding="utf-8", errors="surrogateescape")
    text = BUILD.sub("<build>", text)
    text = re.sub(r"\d+ GB free \(\d+%\)", "<free>", text)
    if file.suffix == ".json" and "\n" not in text.strip():
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    return text


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise SystemExit(f"{folder} is no folder")
    return {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}


def _kind(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[3:]) if parts[0] == "stacks" else path


def _where(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[1:3]) if parts[0] == "stacks" else ""


def main() -> int:
    """Render or compare; exit 1 when something differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path, nargs="?")
    parser.add_argument("words", nargs="*", help="render only stacks whose name has all of these")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("BEFORE", "AFTER"))
    parser.add_argument("--diff", action="store_true", help="show one difference of each kind of file")
    given = parser.parse_args()
    if given.compare:
        return int(compare(*given.compare, diff=given.diff) > 0)
    if given.directory is None:
        parser.error("where to?")
    if given.directory.exists():
        parser.error(f"{given.directory} is there already")
    render_all(given.directory, given.words)
    return 0


if __name__ == "__main__":
    sys.exit(main())
