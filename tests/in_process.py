"""A command of techsapo in this process: what it says, what it exits with, and nothing of it left behind.

For tests of what a command does. Where the process itself is the point (a signal, a lock between two, a
terminal, what is imported at the start, another user) a test starts one: `warm.run` in tests/lab/warm.py.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import structlog

from techsapo_ops.cli import language, process
from techsapo_ops.cli.main import main

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGWINCH)


def techsapo(
    folder: Path, *words: str, env: Mapping[str, str] | None = None, stdin: str = ""
) -> CompletedProcess[str]:
    """Run `techsapo WORDS` in `folder`; `env` is added to a small environment whose HOME is the folder.

    Root searches the PATH of that environment, and not the fixed one of the command line.
    """
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "TZ": "UTC", "LANG": "C.UTF-8",
        "NO_COLOR": "1", "TECHSAPO_LANG": "en", **(env or {}),
    }  # fmt: skip
    out, err = _stream(), _stream()
    with _as_process(folder, environment), _streams(["techsapo", *words], _stream(stdin), out, err):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    assert not structlog.get_config()["cache_logger_on_first_use"], (
        "the app sets up its process's logs: start one"
    )
    return CompletedProcess(["techsapo", *words], code, _text(out), _text(err))


def _stream(content: str = "") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content.encode()), encoding="utf-8", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8")


@contextmanager
def _as_process(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    here, before, searched = Path.cwd(), dict(os.environ), process.ROOT_PATH
    spoken = language.spoken_language()
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    umask = os.umask(0o022)
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        process.ROOT_PATH = environment["PATH"]
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)
        time.tzset()
        process.ROOT_PATH = searched
        language.speak(spoken)
        os.umask(umask)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _streams(
    argv: list[str], stdin: io.TextIOWrapper, stdout: io.TextIOWrapper, stderr: io.TextIOWrapper
) -> Iterator[None]:
    before = sys.argv, sys.stdin, sys.stdout, sys.stderr
    sys.argv, sys.stdin, sys.stdout, sys.stderr = argv, stdin, stdout, stderr
    try:
        yield
    finally:
        sys.argv, sys.stdin, sys.stdout, sys.stderr = before
