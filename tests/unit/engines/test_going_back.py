"""What the notes of services say to the version that one goes back to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from rows import each_row
from stacks import spec, topology

from techsapo_ops import __version__
from techsapo_ops.engines.native.engine import _record
from techsapo_ops.engines.native.recorded import NativeStack
from techsapo_ops.engines.state import STATE, StateFile
from techsapo_ops.services.registry import programs
from techsapo_ops.stack.desired import Desired


@each_row("recorded_by, as_it_is", [(__version__, True), ("0.1.0", False)])
def test_a_version_sees_that_another_one_started_what_it_recorded(
    tmp_path: Path, recorded_by: str, as_it_is: bool
) -> None:
    model = spec()
    where = topology(model, tmp_path)
    app = next(p for p in programs(where) if p.service == "app")
    app = replace(app, environment={**app.environment, "TECHSAPO_VERSION": recorded_by})
    StateFile(where.layout.state).put(_record(app, where.of_kind("app")[0], Desired(where, (), (app,))))
    written = json.loads((where.layout.state / STATE).read_text(encoding="utf-8"))["services"]["app"]
    # Version 0.1 compares what is written, and starts what differs anew with its own code.
    assert (written["fingerprint"] == app.fingerprint) is as_it_is
    assert NativeStack(where.layout).observe().services["app"].fingerprint == app.fingerprint
