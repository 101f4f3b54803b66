"""When a server's own words about its last reload mean this one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.monitoring_server import LastReload
from techsapo_ops.engines import readback
from techsapo_ops.engines.readback import wait_reloaded
from techsapo_ops.errors import OpsError
from techsapo_ops.services.loaded_configuration import Loaded
from techsapo_ops.stack.desired import Desired

GOOD, FAILED = LastReload(True, 100.0), LastReload(False, 100.0)


def waited(before: LastReload, answers: Sequence[LastReload | None], step: float = 0.05) -> float:
    """Seconds until it was over, of a server that gives one answer after the other and then the last one."""
    now = [0.0]
    left = list(answers)

    def pause(_: float) -> None:
        now[0] += step

    def ask() -> LastReload | None:
        return left.pop(0) if len(left) > 1 else left[0]

    wait_reloaded("prometheus", before, ask, clock=lambda: now[0], pause=pause)
    return now[0]


def test_a_reload_is_over_once_a_later_one_succeeded() -> None:
    assert waited(GOOD, [GOOD, GOOD, LastReload(True, 100.5)]) == pytest.approx(0.15)


@each_row("said", [GOOD, None])
def test_an_earlier_success_is_not_taken_for_this_one_nor_is_silence(said: LastReload | None) -> None:
    with pytest.raises(OpsError, match="has not reloaded within 30 s"):
        waited(GOOD, [said], step=1.0)


def test_a_failure_after_a_success_is_this_one_s() -> None:
    with pytest.raises(OpsError, match="prometheus refuses its new configuration") as caught:
        waited(GOOD, [GOOD, FAILED])
    assert "techsapo logs prometheus" in caught.value.hint


def test_a_failure_that_was_there_before_is_waited_for_whether_it_goes() -> None:
    assert waited(FAILED, [FAILED] * 10 + [LastReload(True, 101.0)]) == pytest.approx(0.55)
    with pytest.raises(OpsError, match="refuses its new configuration"):
        waited(FAILED, [FAILED])


@each_row(
    "told, why",
    [
        (FAILED, "the service refused to reload and runs the old configuration: a rule is missing"),
        (GOOD, "the service runs a different configuration from the one applied: a rule is missing"),
        (None, "the service runs a different configuration from the one applied: a rule is missing"),
    ],
)
def test_a_read_back_tells_a_reload_that_was_refused_from_one_that_was_not_asked_for(
    tmp_path: Path, told: LastReload | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Loaded(lambda *_: "a rule is missing", lambda _: told)
    monkeypatch.setattr(readback, "runtime_of", lambda _: SimpleNamespace(loaded=loaded))
    desired = Desired(topology(spec(), tmp_path), (), ())
    (found,) = readback.with_loaded((), desired, ("prometheus",), wait=0.0)
    assert (found.service, found.what) == ("prometheus", why)
