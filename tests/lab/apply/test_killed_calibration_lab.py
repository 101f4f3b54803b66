"""kill -9 at every step of `answers calibrate --apply` and of its rollback: what completes it, what holds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

import pytest
from killed import POINTS, killed_at
from panel_simulation.figures import labels
from panel_simulation.settings import KNOWN
from projects import Project, only_redis, project

from techsapo_ops.stores.audit.spool import AuditRow
from techsapo_ops.stores.audit.store import AuditStore
from techsapo_ops.stores.labels.rows import Label
from techsapo_ops.stores.labels.store import LabelStore
from techsapo_ops.wallbounce.verdict.calibration import loads
from techsapo_ops.wallbounce.verdict.record import dumps

pytestmark = pytest.mark.lab
APPLY = ("answers", "calibrate", "--apply", "--yes")
_numbers = count()


@dataclass
class Learning:
    """A stack, whose people go on labelling answers."""

    stack: Project

    @property
    def file(self) -> str:
        return (self.stack.directory / "calibration.json").read_text()

    @property
    def applied(self) -> str:
        return (self.stack.state / "generated" / "app" / "calibration.json").read_text()

    def say_more(self, answers: int = 15) -> None:
        """So many right answers, labelled now: each lot teaches to be surer, so that none does worse."""
        file = self.stack.state / "data" / "app" / "audit.sqlite"
        rows, said, now = AuditStore(None, file), LabelStore(None, file), datetime.now(UTC)
        for each in labels(KNOWN, answers, f"killed {next(_numbers)}"):
            of = uuid.uuid4().hex
            rows.insert([AuditRow(of, now, "app", of, prompt_hash=of, panel=dumps(each.record))])
            assert said.add(Label(uuid.uuid4().hex, of, "aki", "right", None, now, "api"))
        rows.close()
        said.close()

    def at_rest(self) -> None:
        """File and what is applied are one, and there is nothing left to do."""
        assert self.file == self.applied
        assert loads(self.applied, "it").labels
        assert "up to date" in self.stack.run("up").stderr
        assert not (self.stack.state / "journal/apply.json").exists()


@pytest.fixture(scope="module")
def learning() -> Iterator[Learning]:
    with project(only_redis(engine="native")) as made:
        made.run("up")
        made.write(wallbounce={"calibration": "calibration.json"})
        here = Learning(made)
        here.say_more(60)
        killed_at(made, "weights", *APPLY)
        assert not (made.state / "generated/app/calibration.json").exists()
        made.run(*APPLY)
        here.at_rest()
        yield here


@pytest.mark.parametrize("point", [*POINTS, "recorded"])
def test_a_killed_apply_of_weights_is_completed_by_up_and_its_rollback_holds(
    learning: Learning, point: str
) -> None:
    stack, before = learning.stack, learning.file
    learning.say_more()
    killed_at(stack, point, *APPLY)
    new = learning.file
    assert new != before
    loads(new, "it")
    stack.run("up")
    assert learning.file == new
    learning.at_rest()
    killed_at(stack, point, "rollback", "--yes")
    stack.run("up")
    assert learning.file == before
    learning.at_rest()


@pytest.mark.parametrize("point", ["begun", "services"])
def test_a_killed_apply_of_weights_is_undone_by_rollback_with_their_file(
    learning: Learning, point: str
) -> None:
    before = learning.file
    learning.say_more()
    killed_at(learning.stack, point, *APPLY)
    learning.stack.run("rollback", "--yes")
    assert learning.file == before
    learning.at_rest()


def test_killed_before_the_apply_began_weights_are_proposed_again_and_a_rollback_goes_on(
    learning: Learning,
) -> None:
    stack, before = learning.stack, learning.file
    learning.say_more()
    killed_at(stack, "weights", *APPLY)
    assert learning.applied == before != learning.file
    stack.run(*APPLY)
    learning.at_rest()
    killed_at(stack, "weights", "rollback", "--yes")
    assert learning.file == before != learning.applied
    stack.run("rollback", "--yes")
    assert learning.file == before
    learning.at_rest()
    stack.well()
