"""A lab whose server is not installed names it and its package: skipped by who tries, failed in CI."""

from __future__ import annotations

import parts
import pytest


def test_a_missing_server_is_named_with_its_package_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "is_here", lambda name: name == "nginx")
    wanted = "promtool, redis-server: not installed; as root: apt-get install prometheus redis-server"
    with pytest.raises(pytest.skip.Exception, match=wanted):
        parts.demand(["promtool", "nginx", "redis-server"], ci=False)
    with pytest.raises(pytest.fail.Exception, match=wanted):
        parts.demand(["promtool", "nginx", "redis-server"], ci=True)
    parts.demand(["nginx"], ci=True)


def test_a_core_lab_needs_what_it_names_and_another_lab_everything(request: pytest.FixtureRequest) -> None:
    item = request.node
    assert parts.needed_by(item) == []
    item.add_marker("lab")
    assert parts.needed_by(item) == list(parts.PACKAGES)
    item.add_marker(pytest.mark.needs("redis-server"))
    assert parts.needed_by(item) == ["redis-server"]
    item.add_marker(pytest.mark.needs("no-such-program"))
    with pytest.raises(LookupError, match="no-such-program"):
        parts.needed_by(item)
