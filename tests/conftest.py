"""Shared by all tests: the lab's servers importable as `servers`, and each that is missing named."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import httpx._transports.default as httpx_transports
import pytest
from parts import demand, needed_by
from slowest import Stopwatch, expected, lanes

LABS = Path(__file__).parent / "lab"
sys.path[:0] = [str(LABS), *(str(folder) for folder in LABS.iterdir() if any(folder.glob("test_*.py")))]
# A worker of pytest-xdist sets them; what is written to a pipe is not to be wrapped for them, and a terminal
# of a test has a size of its own.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)
# Debian 13 gives users 002: files of a test that its group may write are not used by what is tested.
os.umask(0o022)
# What is said is read here, whatever the language of who runs the tests.
os.environ["TECHSAPO_LANG"] = "en"
# A run of the tests that a shell put into the background ignores Ctrl-C, and so would what it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# `httpx.get` reads all certificates of all authorities anew, 13 ms of a processor, and tests ask and ask.
httpx_transports.create_ssl_context = lru_cache(8)(httpx_transports.create_ssl_context)  # type: ignore[attr-defined]

REPOSITORY = Path(__file__).parent.parent


@cache
def uses_docker(file: str) -> bool:
    """Whether a test file, named from the repository's root, takes the run's one Docker daemon."""
    return "lab_images" in (REPOSITORY / file).read_text(encoding="utf-8")


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


@cache
def docker_lanes() -> dict[str, int]:
    """The files that take the Docker daemon, over two workers: their stacks share no name and no port."""
    files = (str(p.relative_to(REPOSITORY)) for p in (REPOSITORY / "tests").rglob("test_*.py"))
    return lanes(filter(uses_docker, files), 2)


def _worth_first(item: pytest.Item) -> tuple[float, float, str]:
    """Rank in a run of several workers: the longest files first, so that none ends long after the other.

    Docker's come before them, as they are whole lanes; and a file stays in one piece.
    """
    file = _file(item.nodeid)
    return (not uses_docker(file), -expected(file), file)


def pytest_configure(config: pytest.Config) -> None:
    """Note how long each test takes, once for all workers."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Stopwatch(config))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file whole on one worker, and the files that take the Docker daemon on two of them.

    pytest-xdist 3.8 has `--dist loadgroup` for this, which finds no group under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = _file(nodeid)
            return f"docker {docker_lanes()[file]}" if uses_docker(file) else file

    return ByFile(config, log)


def pytest_pycollect_makemodule(module_path: Path) -> None:
    """Set the profile of hypothesis where a file uses it, which takes a second to import."""
    if "hypothesis" in module_path.read_text(encoding="utf-8"):
        importlib.import_module("fuzzing")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first."""
    items.sort(key=_worth_first)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Nothing of what a collection makes is garbage, and to look through it takes a tenth of its time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test whose server is not installed is skipped, and names it and its package; in CI it fails."""
    demand(needed_by(item), ci=os.environ.get("CI") == "true")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With CI=true a skipped test is a failure: a green run has run everything."""
    if os.environ.get("CI") != "true":
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line gives root a PATH of its own; what a test runs in this process ends with the test."""
    monkeypatch.setenv("PATH", os.environ.get("PATH", ""))


@pytest.fixture
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY
