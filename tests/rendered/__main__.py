"""What techsapo says and writes, as files, to compare two trees: a rebuild changes nothing of it.

    python -m tests.rendered DIR [WORD…]      of the checkout it lies in; with words, only stacks called so
    python -m tests.rendered --compare BEFORE AFTER [--diff]

Everything goes through the command line as an installed program has it, and no module is named, so that this
folder, copied with tests/cases/rendered.yaml, runs in an older tree too. Below `stacks/` is every file that
`techsapo config generate` writes, with modes and owners, and the plan, for the examples and the specs of
tests/cases/rendered.yaml on several hosts; below `cli/` every command's help, the schema and `explain`; below
`api/` the OpenAPI document, the metrics and the pages.

Nothing of the machine stays in it: users, executables and the count of processors are made up, and the
folders of the project, of Python and of the checkout are replaced by their names in <>.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from techsapo_ops.catalogue.yaml_text import read_yaml
from tests.rendered.compare import compare
from tests.rendered.machine import (
    CHECKOUT,
    HOSTS,
    PACKAGE,
    USERS,
    Host,
    Machine,
    is_root,
    load_everything,
    make_programs,
    techsapo,
)

CASES = CHECKOUT / "tests" / "cases" / "rendered.yaml"


@dataclass(frozen=True)
class Case:
    """A spec and what stands beside it."""

    text: str
    variables: Mapping[str, str]
    files: Mapping[str, str]
    overlay: str | None = None
    hosts: Sequence[str] = ("user",)
    engines: Sequence[str] = ("native", "compose")


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
        for overlay in [None, *(read_yaml(text).get("environments") or {})]:
            if spoken or overlay:
                variables = {**spoken, **({"GRAFANA_PASSWORD": "a-long-Pa55word!"} if overlay else {})}
                yield f"example-{file.stem}-{overlay or 'keys'}", Case(text, variables, {}, overlay)
    for number, (name, entry) in enumerate(read_yaml(CASES.read_text(encoding="utf-8")).items()):
        text = json.dumps(entry["spec"], ensure_ascii=False, indent=1)
        files = entry.get("files", {})
        if "hosts" in entry["spec"]:
            yield name, Case(text, {}, files, engines=("swarm",))
        elif entry.get("everywhere"):
            yield name, Case(text, {}, files, hosts=everywhere)
        else:
            yield name, Case(text, {}, files, engines=(("native", "compose")[number % 2],))


def render_all(target: Path, words: Sequence[str] = ()) -> None:
    """Write everything below the new folder `target`; with words, only stacks whose name has them all."""
    target.mkdir(parents=True)
    load_everything()
    machine = Machine(Path(tempfile.mkdtemp(prefix="techsapo-rendered-")))
    machine.home.chmod(0o755)
    try:
        make_programs(machine.home)
        for name, case in cases():
            if all(word in name for word in words):
                _stack(machine, target / "stacks" / name, case)
        if not words:
            _command_line(machine, target / "cli")
            _api(machine, target / "api")
    finally:
        shutil.rmtree(machine.home)


def _stack(machine: Machine, target: Path, case: Case) -> None:
    """One spec with both engines on the hosts that it asks for."""
    for host_name in case.hosts:
        host = HOSTS[host_name]
        if host.root and not is_root():
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

    run("generate", "config", "generate", *options)
    if len(case.engines) > 1:
        run("plan", "plan", *options)
        run("validate", "validate", *options)
        run("config", "config", "show", *options)
    if len(case.engines) > 1 and host == HOSTS["user"]:
        run("cron", "cron", "install", *options)
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
        "schema.json": ("config", "schema"),
        "explain.txt": ("config", "explain"),
        "templates.txt": ("config", "templates", "list"),
        "config.txt": ("config", "show"),
        "doctor.json": ("doctor", "--json"),
        "ps.json": ("ps", "--json"),
    }.items():
        out, err, code = techsapo(words, empty, environment)
        assert code != 2, f"techsapo {' '.join(words)}: {err.decode()}"
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
        # This checkout's package, whichever one is installed.
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        server = subprocess.Popen(argv, cwd=folder, env=environment, stdout=log, stderr=log)
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


def main() -> int:
    """Render or compare; exit 1 when something differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path, nargs="?")
    parser.add_argument("words", nargs="*", help="render only stacks whose name has all of these")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("BEFORE", "AFTER"))
    parser.add_argument("--diff", action="store_true", help="show each difference once")
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
