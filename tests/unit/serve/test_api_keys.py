from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from instances import URL, send
from orchestrator import make_app
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.serve.auth import key_ring
from techsapo_ops.spec.models.app import Auth
from techsapo_ops.stores.keys import KeyFile, Plan, new_key

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@each_row("content", ["", "[]", '{"keys": [{}]}', "\0", '{"keys": 5}'])
def test_a_broken_file_is_told_and_production_does_not_start_on_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(OpsError, match="is not a file of API keys"):
        KeyFile(path).read()
    with pytest.raises(OpsError, match="is not a file of API keys"):
        key_ring(Auth(required=True, refuse_without_keys=True), path)


def test_an_open_api_has_no_keys(tmp_path: Path) -> None:
    assert key_ring(Auth(required=False), tmp_path / "keys.json") is None


def test_a_plan_or_a_keys_own_number_allows_so_many_requests_a_minute_and_every_answer_says_so(
    tmp_path: Path,
) -> None:
    plans: dict[Plan, int] = {"basic": 100, "standard": 1000, "premium": 5000}
    keys = {plan: new_key(plan, plan=plan, scopes=("ask",), now=NOW) for plan in plans}
    own, shown = new_key("own", plan="premium", scopes=("ask",), now=NOW)
    made = [(key, shown, plans[plan]) for plan, (key, shown) in keys.items()]
    made.append((replace(own, per_minute=7), shown, 7))
    KeyFile(tmp_path / "api-keys.json").write(tuple(key for key, *_ in made))
    app = make_app(tmp_path, app={"auth": {"required": True}})
    asked = [
        ("POST", URL, {"json": body, "headers": {"Authorization": f"Bearer {key}"}})
        for _, key, _ in made
        for body in ({"prompt": "x"}, {"wrong": "x"})
    ]
    answered = iter(send(app, *asked))
    for *_, limit in made:
        answers = [next(answered), next(answered)]
        assert [r.status_code for r in answers] == [200, 422]
        assert [r.headers["x-ratelimit-limit"] for r in answers] == [str(limit)] * 2
        left = [int(r.headers["x-ratelimit-remaining"]) for r in answers]
        assert left in ([limit - 1, limit - 2], [limit - 1] * 2), "in between a new minute may have begun"
        assert all("retry-after" not in r.headers for r in answers)
