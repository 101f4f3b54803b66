from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from techsapo_ops.errors import OpsError
from techsapo_ops.stores.keys import ApiKey, KeyFile, KeyRefused, KeyRing, Rotation, Scope, new_key

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


def made(name: str = "ci", scopes: tuple[Scope, ...] = ("ask",)) -> tuple[ApiKey, str]:
    return new_key(name, plan="basic", scopes=scopes, now=NOW)


def revoke(file: KeyFile, which: str, now: datetime, *, every: bool = False) -> tuple[ApiKey, ...]:
    """As `techsapo keys revoke`."""
    gone = file.revocation(which, now, every=every)
    file.change(gone)
    return gone


def rotate(file: KeyFile, which: str, now: datetime, overlap: timedelta) -> Rotation:
    """As `techsapo keys rotate`."""
    found = file.rotation(which, now, overlap)
    file.change((*found.ending, found.key))
    return found


def reason(ring: KeyRing, given: str | None, scope: Scope = "ask") -> str:
    with pytest.raises(KeyRefused) as refused:
        ring.check(given, scope)
    return refused.value.reason


def test_what_a_key_can_not_open_is_told_apart(file: KeyFile) -> None:
    good, shown = made()
    gone, shown_gone = made()
    old, shown_old = made()
    past = datetime.now(UTC) - timedelta(seconds=1)
    file.write((good, replace(gone, revoked=NOW), replace(old, expires=past)))
    ring = KeyRing(file)
    assert ring.check(shown, "ask") == good
    wrong = shown[:-1] + ("A" if shown[-1] != "A" else "B")
    refused = (None, "", "hunter2", shown + "\n", wrong, made()[1], shown_gone, shown_old)
    assert [reason(ring, given) for given in refused] == [
        "missing", "missing", "malformed", "malformed", "unknown", "unknown", "revoked", "expired",
    ]  # fmt: skip
    assert reason(ring, shown, "monitor") == "scope"


def test_keys_come_back_from_their_file_as_they_were_and_are_never_in_it(file: KeyFile) -> None:
    made_now, shown = new_key("鍵", plan="premium", scopes=("ask", "monitor"), now=NOW, expires=NOW)
    full = replace(made_now, per_minute=7, monthly_usd=5.0)
    file.write((full,))
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.read() == (full,)
    assert shown not in file.path.read_text()
    file.path.chmod(0o644)
    file.change((full,))
    assert file.path.stat().st_mode & 0o777 == 0o600, "whoever reads it knows whose keys there are"
    assert len({made()[1] for _ in range(100)}) == 100


def test_revoking_needs_an_active_key_and_names_those_there_are(file: KeyFile) -> None:
    key, _ = made("ci")
    file.write((key,))
    with pytest.raises(OpsError, match="no active key 'nobody'") as refused:
        revoke(file, "nobody", NOW)
    assert f"{key.id} (ci)" in refused.value.hint
    revoke(file, "ci", NOW)
    with pytest.raises(OpsError, match="no active key"):
        revoke(file, "ci", NOW)


def test_a_name_of_several_active_keys_revokes_none_of_them_unasked(file: KeyFile) -> None:
    old = replace(made("ci")[0], expires=NOW - timedelta(days=1))
    first, second, other = made("ci")[0], made("ci")[0], made("else")[0]
    file.write((old, first, second, other))
    with pytest.raises(OpsError, match="2 active keys are named 'ci'") as refused:
        revoke(file, "ci", NOW)
    assert refused.value.exit_code == 2
    assert f"{first.id} (" in refused.value.hint
    assert f"{second.id} (" in refused.value.hint
    assert "techsapo keys revoke ci --all" in refused.value.hint
    assert all(key.revoked is None for key in file.read())
    assert [key.id for key in revoke(file, first.id, NOW)] == [first.id]
    assert second.id in {key.id for key in revoke(file, "ci", NOW)}, "one is left, so the name is enough"
    third, fourth = made("ci")[0], made("ci")[0]
    file.write((*file.read(), third, fourth))
    assert {key.id for key in revoke(file, "ci", NOW, every=True)} == {third.id, fourth.id}
    assert [key.id for key in file.read() if key.revoked is None] == [other.id]


def test_a_rotated_key_and_its_successor_both_open_until_the_overlap_ends(file: KeyFile) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    first, shown = new_key("ci", plan="premium", scopes=("ask", "monitor"), now=now)
    file.write((replace(first, per_minute=7, daily_usd=1.0, monthly_usd=5.0),))
    rotation = rotate(file, "ci", now, timedelta(hours=24))
    ring = KeyRing(file)
    for key in (shown, rotation.shown):
        assert ring.check(key, "monitor").name == "ci"
    old, new = file.read()
    assert (old.expires, old.replaced_by, old.state(now + timedelta(hours=24))) == (
        now + timedelta(hours=24), new.id, "expired",
    )  # fmt: skip
    assert (new.expires, new.plan, new.per_minute, new.daily_usd, new.monthly_usd) == (
        None, "premium", 7, 1.0, 5.0,
    )  # fmt: skip


def test_without_an_overlap_the_old_key_is_revoked_at_once(file: KeyFile) -> None:
    key, shown = made()
    file.write((key,))
    rotation = rotate(file, key.id, datetime.now(UTC), timedelta())
    ring = KeyRing(file)
    assert reason(ring, shown) == "revoked"
    assert ring.check(rotation.shown, "ask").id == rotation.key.id


def test_no_key_lives_longer_for_being_rotated_and_the_new_one_as_long_as_the_old_was_to(
    file: KeyFile,
) -> None:
    key, _ = new_key("ci", plan="basic", scopes=("ask",), now=NOW, expires=NOW + timedelta(days=90))
    file.write((key,))
    late = NOW + timedelta(days=89, hours=20)
    second = rotate(file, "ci", late, timedelta(hours=24)).key
    assert file.read()[0].expires == NOW + timedelta(days=90)
    assert second.expires == late + timedelta(days=90)
    # During the overlap, with a shorter one: nothing is left longer than it says, and with a longer one
    # nothing gets more than it had.
    soon = late + timedelta(hours=1)
    third = rotate(file, "ci", soon, timedelta(hours=1)).key
    ends = {k.id: k.expires for k in file.read()}
    assert ends == {
        key.id: soon + timedelta(hours=1),
        second.id: soon + timedelta(hours=1),
        third.id: soon + timedelta(days=90),
    }
    rotate(file, "ci", soon, timedelta(days=365))
    assert {k.id: k.expires for k in file.read() if k.id in ends} == ends
    everything = rotate(file, "ci", soon, timedelta())
    assert [k.id for k in file.read() if k.state(soon) == "active"] == [everything.key.id]


def test_a_key_whose_successor_was_revoked_may_be_rotated_again_for_as_long_as_it_was_made(
    file: KeyFile,
) -> None:
    key, _ = new_key("ci", plan="basic", scopes=("ask",), now=NOW, expires=NOW + timedelta(days=90))
    file.write((key,))
    revoke(file, rotate(file, "ci", NOW, timedelta(hours=24)).key.id, NOW)
    again = rotate(file, "ci", NOW, timedelta(hours=48))
    assert [k.id for k in again.ending] == [key.id]
    assert again.ending[0].expires == NOW + timedelta(hours=24)
    assert again.key.expires == NOW + timedelta(days=90)


def test_what_can_not_be_rotated_is_told_with_the_ids_to_choose_from(file: KeyFile) -> None:
    one, two = made("ci")[0], made("ci")[0]
    file.write((one, two))
    with pytest.raises(OpsError, match="2 active keys are named 'ci'") as several:
        rotate(file, "ci", NOW, timedelta(hours=1))
    assert one.id in several.value.hint
    new = rotate(file, one.id, NOW, timedelta(hours=1)).key
    with pytest.raises(OpsError, match=f"was already replaced by {new.id}"):
        rotate(file, one.id, NOW, timedelta(hours=1))
    with pytest.raises(OpsError, match="no active key 'nobody'"):
        rotate(file, "nobody", NOW, timedelta(hours=1))


def test_a_key_whose_id_a_hand_wrote_twice_is_revoked_as_a_whole(file: KeyFile) -> None:
    key, shown = made()
    file.write((key, replace(key, name="copy")))
    assert KeyRing(file).check(shown, "ask").name == "copy"
    revoke(file, key.id, NOW, every=True)
    assert reason(KeyRing(file), shown) == "revoked"
    assert len(file.read()) == 2


def test_a_time_that_a_hand_wrote_without_a_zone_is_utc(file: KeyFile, tmp_path: Path) -> None:
    key, shown = made()
    file.write((replace(key, expires=NOW),))
    text = file.path.read_text().replace("2026-11-24T00:00:00+00:00", "2026-11-24")
    file.path.write_text(text)
    assert '"expires": "2026-11-24"' in text
    assert file.read() == (replace(key, expires=NOW),)
    other = KeyFile(tmp_path / "ended.json")
    other.path.write_text(text.replace('"expires": "2026-11-24"', '"expires": "2026-01-01"'))
    assert reason(KeyRing(other), shown) == "expired"
