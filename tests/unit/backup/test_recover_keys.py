"""API keys on an empty host: what the copies know as revoked opens nothing there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from techsapo_ops.adapters.chain import Chain
from techsapo_ops.apply.administration import actions, chain_of
from techsapo_ops.backup.recover.keys import copied_endings, later_endings, settle, working
from techsapo_ops.backup.repository.description import CopiedPath, Description, What
from techsapo_ops.backup.repository.restic import AwaySnapshot
from techsapo_ops.backup.restore.copied import Copied
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stores.key_endings import REVOKE, ends_of, recorded_endings
from techsapo_ops.stores.keys import ApiKey, KeyFile, new_key, text_of

NOW = datetime.now(UTC).replace(microsecond=0)
BEFORE = NOW - timedelta(days=3)
STATE = "/srv/old/.techsapo"


def key(name: str) -> ApiKey:
    return new_key(name, plan="basic", scopes=("ask",), now=BEFORE)[0]


@dataclass(frozen=True)
class Copy:
    """A copy whose file of keys is older than its record of administration."""

    copied: Copied
    ci: ApiKey
    page: ApiKey

    def placed(self, tmp_path: Path) -> Layout:
        """The files of the copy in their places on this host."""
        new = tmp_path / "new" / ".techsapo"
        shutil.copytree(self.copied.at(STATE), new)
        return Layout(new, new / "generated", tmp_path / "new" / "techsapo.yaml")


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    root = tmp_path / "fetched"
    state = root / STATE.lstrip("/")
    ci, page = key("ci"), key("page")
    KeyFile(state / "api-keys" / "keys.json").write((ci, page))
    record = {"action": REVOKE, "what": ends_of([replace(ci, revoked=NOW)])}
    Chain(state / "administration").append(record)
    kept = tuple(
        CopiedPath(f"{STATE}/{name}", f"{STATE}/{name}", what, True, 0o700)
        for name, what in (("api-keys", What.API_KEYS), ("administration", What.ADMINISTRATION))
    )
    description = Description(
        "20260131T020000Z", "shop", BEFORE, "0.2.0", "native", None, "old", "root",
        "/srv/old", "techsapo.yaml", STATE, False, paths=kept,
    )  # fmt: skip
    backup = SimpleNamespace(id="b", read=lambda: SimpleNamespace(started=BEFORE))
    return Copy(Copied(root, description, None, backup), ci, page)


def states(layout: Layout) -> dict[str, str]:
    return {k.name: k.state(datetime.now(UTC)) for k in KeyFile(layout.api_keys).read()}


def test_a_key_that_only_the_record_in_the_copy_knows_as_revoked_opens_nothing(
    copy: Copy, tmp_path: Path
) -> None:
    endings, spec = copied_endings(copy.copied), Spec(project="shop")
    assert [k.name for k in working(copy.copied, spec, endings)] == ["page"]
    layout = copy.placed(tmp_path)
    settle(layout, spec, endings, pytest.fail, revoke_all=False)
    assert states(layout) == {"ci": "revoked", "page": "active"}


def test_all_are_revoked_where_that_is_asked_and_the_record_says_so(copy: Copy, tmp_path: Path) -> None:
    spec, layout = Spec(project="shop"), copy.placed(tmp_path)
    settle(layout, spec, copied_endings(copy.copied), pytest.fail, revoke_all=True)
    assert states(layout) == {"ci": "revoked", "page": "revoked"}
    reading = chain_of(layout).read()
    assert copy.page.id in recorded_endings(reading)
    assert [(a.action, a.outcome) for a in actions(reading)][-1] == (REVOKE, "done")
    settle(layout, spec, {}, pytest.fail, revoke_all=True)  # as after a kill
    assert len(chain_of(layout).read().records) == len(reading.records)


def test_keys_in_a_file_that_the_spec_names_are_treated_likewise(copy: Copy, tmp_path: Path) -> None:
    old = "/srv/old/keys.json"
    shutil.copy(copy.copied.at(f"{STATE}/api-keys/keys.json"), copy.copied.at("/srv/old") / "keys.json")
    named = CopiedPath(old, old, What.FILE, False, 0o600, field="app.auth.keys_file", named="keys.json")
    description = replace(copy.copied.description, paths=(*copy.copied.description.paths, named))
    copied = replace(copy.copied, description=description)
    spec = Spec.model_validate({"project": "shop", "app": {"auth": {"keys_file": "keys.json"}}})
    endings = copied_endings(copied)
    assert [k.name for k in working(copied, spec, endings)] == ["page"]
    layout = copy.placed(tmp_path)
    shutil.copy(copied.at(old), tmp_path / "new" / "keys.json")
    settle(layout, spec, endings, pytest.fail, revoke_all=False)
    assert [k.revoked for k in KeyFile(tmp_path / "new" / "keys.json").read()] == [
        endings[copy.ci.id].revoked, None,
    ]  # fmt: skip


NEWEST = AwaySnapshot("f" * 64, NOW, "old", (f"{STATE}/administration", f"{STATE}/api-keys"), ("techsapo",))


def test_of_an_older_copy_the_newest_is_asked_which_keys_were_revoked_since(
    copy: Copy, tmp_path: Path
) -> None:
    record = tmp_path / "administration"
    Chain(record).append({"action": REVOKE, "what": ends_of([replace(copy.page, revoked=NOW)])})
    other = replace(key("other"), revoked=NOW)
    files = {
        f"{STATE}/administration/record.jsonl": (record / "record.jsonl").read_bytes(),
        f"{STATE}/api-keys/keys.json": text_of([other]).encode(),
    }
    restic = SimpleNamespace(content=lambda _, path: files[path])
    found = later_endings(restic, NEWEST, pytest.fail)
    assert set(found) == {copy.page.id, other.id}
    assert later_endings(restic, replace(NEWEST, paths=()), pytest.fail) == {}
    assert later_endings(restic, None, pytest.fail) == {}
