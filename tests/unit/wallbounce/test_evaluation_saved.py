"""The file of paid answers, after a kill, beside another run, and where somebody planted a link."""

from __future__ import annotations

from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.wallbounce.evaluation.saved import Attempt, read_saved, saving

ONE = Attempt.model_validate(
    {
        "case": "c", "digest": "d", "tier": "basic", "answer": "一\u2028\n{", "outcome": "accepted",
        "accepted": True, "confidence": 1, "cost_usd": 0, "seconds": 1, "simulated": True, "cached": False,
    }
)  # fmt: skip


def test_a_run_goes_on_with_what_it_paid_for_and_without_what_a_kill_left_unfinished(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with saving(path) as saved:
        saved.add(ONE)
        first = saved.run
    with path.open("ab") as file:
        file.write(b'{"case": "hal')
    with saving(path) as saved:
        assert (saved.run, saved.attempts) == (first, {"d": ONE})
        saved.add(ONE.model_copy(update={"digest": "e"}))
    assert list(read_saved(path).attempts) == ["d", "e"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_kill_within_the_first_line_leaves_a_file_that_can_be_used(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b'{"ru')
    with saving(path) as saved:
        saved.add(ONE)
    assert list(read_saved(path).attempts) == ["d"]


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with saving(path), pytest.raises(OpsError, match="another run"), saving(path):
        pass


@each_row("content", [b"notes\n", b'{"run": 1}\n', b"no end", b'{"run": "x"}\n{}\n'])
def test_a_file_of_another_kind_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(OpsError) as caught, saving(path):
        pass
    assert caught.value.exit_code == 2
    assert path.read_bytes() == content


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OpsError), saving(tmp_path / "link"):
        pass
    assert not (tmp_path / "target").exists()
