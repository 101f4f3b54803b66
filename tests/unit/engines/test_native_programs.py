"""The launcher becomes programs by name: those, too, are only run where nobody else could change them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stacks import spec, topology

from techsapo_ops.adapters.process import Command, SubprocessRunner
from techsapo_ops.adapters.strict_modes import UntrustedError
from techsapo_ops.engines.native.engine import NativeEngine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")

SOMEBODY = 54321


def test_a_program_that_a_service_is_entered_for_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "hello"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    engine = NativeEngine(topology(spec(), tmp_path), SubprocessRunner(), {})
    service = engine.topology.services[0].name
    hello = Command(("hello",), cwd=tmp_path)
    assert SubprocessRunner().run(engine.enter(service, hello)).output == "hello"
    os.chown(program, SOMEBODY, SOMEBODY)
    with pytest.raises(UntrustedError, match="is owned by uid 54321"):
        SubprocessRunner().run(engine.enter(service, hello))
