"""A program that is supervised ends with what asks its supervisor to end, whenever that comes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters import supervised
from techsapo_ops.adapters.process import Command
from techsapo_ops.cli.signals import interruptible


@each_row("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_a_program_is_started_ends_it(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def starting(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        made.append(popen(*arguments, **options))
        os.kill(os.getpid(), number)
        return made[0]

    monkeypatch.setattr(supervised.subprocess, "Popen", starting)
    with interruptible():
        ended = supervised.supervise(Command(("sleep", "60")), timeout=60, line=lambda _: None)
    assert (ended.interrupted, ended.timed_out) == (True, False)
    assert made[0].poll() is not None


def test_afterwards_signals_do_what_they_did() -> None:
    before = signal.getsignal(signal.SIGTERM)
    supervised.supervise(Command(("true",)), timeout=60, line=lambda _: None)
    assert signal.getsignal(signal.SIGTERM) is before
