"""What the app's process loads: each of its libraries takes memory of every instance on every host."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from techsapo_ops.adapters.http import preload
from techsapo_ops.serve import app, server
preload()
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_nothing_is_loaded_that_draws_on_a_terminal() -> None:
    """structlog and httpx take rich, and with it pygments, where they find it: 10 MB for nothing."""
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert {"httpx", "structlog"} <= loaded
    assert not loaded & {"rich", "pygments"}
