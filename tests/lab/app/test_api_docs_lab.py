"""Every request of docs/api*.md is run as it stands."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from api_keys import NEEDED, keys_of, make_key, with_key
from orchestrator import serving
from servers import wait_for

pytestmark = pytest.mark.lab

DOCS = Path(__file__).parents[3] / "docs"


def requests(name: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL)


def test_every_request_of_the_pages_is_answered_as_they_say(tmp_path: Path) -> None:
    with serving(tmp_path, **NEEDED) as app:
        key = make_key(keys_of(app), "docs")
        wait_for(lambda: with_key(app, key).status_code == 200, what="key known")
        environment = {**os.environ, "URL": app.url, "KEY": key, "no_proxy": "127.0.0.1"}
        shown = [command for name in ("api.md", "api.ja.md") for command in requests(name)]
        assert len(shown) >= 8
        for command in shown:
            done = subprocess.run(
                ["bash", "-c", command], capture_output=True, text=True, timeout=60, env=environment
            )
            assert done.returncode == 0, done.stderr
            if "text/event-stream" in command:
                assert "event: verdict" in done.stdout, done.stdout
            else:
                told = json.loads(done.stdout)
                assert "code" not in told, told
                assert "error" not in told, told
