"""Signals that end a process by way of its own clean-up."""

from __future__ import annotations

import signal
import subprocess
import sys

ENDS = """
import sys, time
from techsapo_ops.cli.process import interrupted_once
interrupted_once()
try:
    print("runs", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("ends", flush=True)
    sys.stdin.readline()
    print("ended")
"""


def test_what_comes_after_the_first_signal_cuts_no_end_short() -> None:
    argv = [sys.executable, "-c", ENDS]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as made:
        assert made.stdin is not None
        assert made.stdout is not None
        assert made.stdout.readline() == "runs\n"
        made.send_signal(signal.SIGTERM)
        assert made.stdout.readline() == "ends\n"
        for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            made.send_signal(again)
        made.stdin.write("\n")
        assert made.communicate(timeout=30) == ("ended\n", "")
        assert made.returncode == 0
