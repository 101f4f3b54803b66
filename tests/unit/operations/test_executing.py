"""`techsapo exec`: who may enter a service."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from techsapo_ops.errors import OpsError
from techsapo_ops.operations import executing


def stack_at(state: Path) -> Any:
    return SimpleNamespace(layout=SimpleNamespace(state=state))


def test_only_its_owner_and_root_may_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executing.require_owner(stack_at(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(OpsError, match="only its owner may enter") as caught:
        executing.require_owner(stack_at(tmp_path))
    assert isinstance(caught.value.__cause__, PermissionError)
    others = Mock(return_value=SimpleNamespace(st_uid=4242))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", others)
        patch.setattr("os.geteuid", lambda: 0)
        executing.require_owner(stack_at(tmp_path))
