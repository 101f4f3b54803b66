"""What a newcomer does: clone, `make up`, ask, look, `down`. On the well-known ports, as documented."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from servers import wait_for
from wheels import pip_without_index

from techsapo_ops.adapters.http import BasicLogin

pytestmark = pytest.mark.e2e

PORTS = {4000: "app-1", 4001: "app-2", 4002: "app-3", 8080: "nginx", 9090: "prometheus", 9093: "alertmanager",
         9100: "node exporter", 6379: "redis", 9121: "redis exporter", 9113: "nginx exporter",
         9115: "blackbox exporter"}  # fmt: skip


NOTHING: Mapping[str, str] = {}
KINDS = {":9090/": "prometheus", ":9093/": "alertmanager"}
"""What asks for a login, by a part of its URL."""
FREE_TEXT = re.compile(r'(--(?:message|comment)) "[^"]*"')
"""What people read, and so is in the language of the page."""


def opened(url: str, stack: Path) -> HTTPResponse:
    """The answer to a GET, with the login that the newcomer reads in the state directory."""
    headers = {}
    for part, kind in KINDS.items():
        if part in url:
            headers = BasicLogin("techsapo", stack / ".techsapo" / "keys" / f"{kind}-password").headers()
    response: HTTPResponse = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60)
    return response


def get(url: str, stack: Path) -> Any:
    with opened(url, stack) as response:
        return json.load(response)


def listening(port: int) -> bool:
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


def query(expression: str, stack: Path) -> list[Any]:
    answer = get("http://127.0.0.1:9090/api/v1/query?query=" + urllib.parse.quote(expression), stack)
    result: list[Any] = answer["data"]["result"]
    return result


def processes_of(directory: Path) -> list[str]:
    """Command lines that name the checkout: what `down` must not leave behind."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(directory) in line:
                found.append(f"{entry.name} {line}")
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh clone after `make up`; `make down` afterwards, whatever the tests said."""
    taken = [p for p in PORTS if listening(p)]
    assert not taken, f"ports {taken} are in use; this test needs the well-known ones"
    directory = tmp_path_factory.mktemp("newcomer") / "techsapo-ops"
    source = Path(__file__).parents[2]
    subprocess.run(["git", "clone", "--quiet", str(source), str(directory)], check=True)
    # The clone holds what is committed; a run before the commit tests the working tree.
    changed = subprocess.run(
        ["git", "ls-files", "--modified", "--others", "--exclude-standard", "-z"],
        cwd=source, capture_output=True, check=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, changed):
        if (source / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes((source / name).read_bytes())
    # An instance that ends takes questions for five more seconds, and a dozen do here.
    example = directory / "examples/techsapo.yaml"
    example.write_text(example.read_text().replace("\n  instances:\n", "\n  drain: 0s\n  instances:\n"))
    try:
        yield directory
    finally:
        subprocess.run(["make", "down"], cwd=directory, check=False, capture_output=True)


def run(checkout: Path, *arguments: str, code: int = 0, more: Mapping[str, str] = NOTHING) -> str:
    """Run a command in the checkout, with `more` in its environment, and return both of its streams."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COV", "COVERAGE", "PYTEST"))}
    done = subprocess.run(
        arguments,
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**environment, **more},
    )
    assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if "--json" in arguments else done.stdout + done.stderr


def techsapo(checkout: Path, *arguments: str, code: int = 0) -> str:
    return run(checkout, str(checkout / ".venv/bin/techsapo"), *arguments, code=code)


@pytest.fixture(scope="module")
def stack(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout, after `make up`."""
    bindir = tmp_path_factory.mktemp("bin")
    shown = run(
        checkout, "make", "up", f"BINDIR={bindir}", more={**pip_without_index(), "PIP_NO_COMPILE": "1"}
    )
    for service in PORTS.values():
        assert service.replace(" ", "-") in shown, shown
    assert (bindir / "techsapo").resolve() == (checkout / ".venv/bin/techsapo").resolve()
    return checkout


# The tests below run in this order on one stack; the last one takes it down.


def test_everything_listens_on_its_documented_port(stack: Path) -> None:
    assert [p for p in PORTS if not listening(p)] == []


def test_a_question_is_answered(stack: Path) -> None:
    answer = json.loads(techsapo(stack, "ask", "Dockerコンテナが起動しない", "--json"))
    assert answer["simulated"] is True


def every_target_up(stack: Path) -> bool:
    targets = get("http://127.0.0.1:9090/api/v1/targets?state=active", stack)["data"]["activeTargets"]
    return len(targets) >= 8 and all(target["health"] == "up" for target in targets)


def test_health_says_healthy_once_every_target_was_scraped(stack: Path) -> None:
    wait_for(lambda: every_target_up(stack), timeout=60, what="every Prometheus target up")
    health = json.loads(techsapo(stack, "health", "--json"))
    assert health["status"] == "healthy", health


def test_the_question_shows_in_prometheus(stack: Path) -> None:
    asked = "sum(techsapo_wallbounce_requests_total)"
    wait_for(
        lambda: any(float(r["value"][1]) >= 1 for r in query(asked, stack)),
        what="the request in Prometheus",
    )


def test_the_ask_page_is_served(stack: Path) -> None:
    page = urllib.request.urlopen("http://127.0.0.1:4000/", timeout=60).read().decode()
    assert "TechSapo" in page


PAGES = ("README.md", "docs/running.md")
"""Those that a newcomer types from; that the commands of every page are known, a unit test says."""
ELSEWHERE = ("example.com", "…", "alice")
"""In commands to another host, or with a value of the reader's: other tests run these."""


def commands_of(page: str) -> list[str]:
    """What a documentation page tells to type: the `techsapo …` lines of its blocks."""
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"^ {4}(techsapo .+)$", text, re.MULTILINE)
    return [
        re.sub(r"\s+#.*", "", line)
        for line in lines
        if line.startswith("techsapo ") and not any(word in line for word in ELSEWHERE)
    ]


def documented() -> list[str]:
    """The commands of the pages, and what docs/from-the-guide.md says works."""
    commands = [line for name in PAGES for line in commands_of(name)]
    text = (Path(__file__).parents[2] / "docs/from-the-guide.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line
    ]
    return (
        commands
        + [
            row[1].strip("`")
            for row in rows
            if len(row) == 3 and row[2].startswith("works") and "(" not in row[2] and row[1].startswith("`")
        ]
        + [row[1].strip("`") for row in rows if len(row) == 3 and row[2].startswith("works as a check")]
    )


@each_row("what", dict.fromkeys(documented()))
def test_what_the_documentation_says_works(stack: Path, what: str) -> None:
    if what.startswith("http"):
        with opened(what, stack) as response:
            assert response.status == 200
    else:
        if what.endswith(" health"):  # Prometheus may not have looked since the last restart
            wait_for(lambda: every_target_up(stack), timeout=60, what="every Prometheus target up")
        run(stack, "sh", "-c", f'PATH="{stack}/.venv/bin:$PATH"; {what}')


@each_row("page", PAGES)
def test_a_page_shows_the_same_commands_in_both_languages(page: str) -> None:
    shown = [
        [FREE_TEXT.sub(r"\1", line) for line in commands_of(name)]
        for name in (page, page.replace(".md", ".ja.md"))
    ]
    assert shown[0] == shown[1]


def test_killing_the_heaviest_instance_under_load_fails_no_get(stack: Path) -> None:
    rows = {row["service"]: row for row in json.loads(techsapo(stack, "ps", "--json"))["services"]}
    failed: list[str] = []
    served = 0
    stop = threading.Event()
    lock = threading.Lock()

    def load() -> None:
        nonlocal served
        while not stop.is_set():
            try:
                with urllib.request.urlopen("http://127.0.0.1:8080/ping", timeout=60) as response:
                    response.read()
                with lock:
                    served += 1
            except (OSError, http.client.HTTPException) as error:
                failed.append(repr(error))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: served > 100, what="load")
        os.kill(rows["app-1"]["pid"], signal.SIGKILL)
        after = served
        wait_for(lambda: served > after + 500, timeout=60, what="load after the kill")
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
    assert failed == []
    wait_for(lambda: listening(4000), what="app-1 started again by the supervisor")


def test_a_second_make_up_changes_nothing(stack: Path, tmp_path: Path) -> None:
    assert "up to date" in run(stack, "make", "up", f"BINDIR={tmp_path}")


def test_down_leaves_no_process_and_no_port(stack: Path, tmp_path: Path) -> None:
    run(stack, "make", "down")
    assert [p for p in PORTS if listening(p)] == []
    assert processes_of(stack) == []
    run(stack, "make", "link", f"BINDIR={tmp_path}")
    run(stack, "make", "uninstall", f"BINDIR={tmp_path}")
    assert not (tmp_path / "techsapo").is_symlink()
