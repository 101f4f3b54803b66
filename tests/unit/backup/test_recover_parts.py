"""Parts of a recovery without servers: which copy, where things go, what is refused."""

from __future__ import annotations

import json
import os
import shutil
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.packed import file_sha256
from techsapo_ops.backup.recover.draft import Choice, chosen, draft_of
from techsapo_ops.backup.recover.journal import Asked, Desk, Recovering
from techsapo_ops.backup.recover.placing import places_in, put, require_free
from techsapo_ops.backup.repository.description import FILE, FOLDER, CopiedPath, Description, What
from techsapo_ops.backup.repository.folder import Repository
from techsapo_ops.backup.repository.manifest import Manifest
from techsapo_ops.backup.repository.origin import Keyring
from techsapo_ops.backup.repository.restic import PART_TAG, AwaySnapshot
from techsapo_ops.backup.restore.copied import Copied, choose, open_copy, require_whole
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.places import EngineName

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
OLD = Path("/srv/old")


def snapshot(hours: int, *tags: str, project: str = "shop") -> AwaySnapshot:
    tag = (f"project={project}",) if project else ()
    paths = ("/srv/old/techsapo.yaml", f"/srv/old/.techsapo/{FOLDER}")
    return AwaySnapshot(
        f"{hours:064d}", NOON + timedelta(hours=hours), "old", paths, ("techsapo", *tag, *tags)
    )


def test_the_newest_whole_copy_is_taken_and_later_parts_are_told_of() -> None:
    known = [snapshot(0), snapshot(1), snapshot(2, PART_TAG), snapshot(3, PART_TAG, project="other")]
    assert choose(known, None, "shop") == snapshot(1)
    assert chosen(known, snapshot(1).id, None) == Choice(
        snapshot(1), (snapshot(2, PART_TAG),), snapshot(2, PART_TAG)
    )
    assert chosen(known, snapshot(1).id, NOON + timedelta(hours=1)).parts == ()
    with pytest.raises(OpsError, match="is no longer in the repository"):
        chosen(known, "f" * 64, None)


def test_of_a_moment_the_newest_before_it_is_taken() -> None:
    assert choose([snapshot(1), snapshot(2)], NOON + timedelta(hours=2), "") == snapshot(2)
    assert choose([snapshot(0), snapshot(1)], NOON + timedelta(minutes=59), "") == snapshot(0)
    with pytest.raises(OpsError, match="no copy from that time or earlier"):
        choose([snapshot(0)], NOON - timedelta(seconds=1), "")


def test_of_several_stacks_one_has_to_be_named() -> None:
    both = [snapshot(0), snapshot(1, project="blog")]
    with pytest.raises(OpsError, match="several stacks: blog, shop"):
        choose(both, None, "")
    assert choose(both, None, "shop") == snapshot(0)
    with pytest.raises(OpsError, match="no copy of stack news"):
        choose(both, None, "news")


def kept(path: str, what: What, folder: bool = False, named: str = "", mode: int = 0o600) -> CopiedPath:
    return CopiedPath(path, path, what, folder, mode, named=named)


def described(*paths: CopiedPath) -> Description:
    return Description(
        "20260131T020000Z", "shop", NOON, "0.2.0", "native", None, "old", "root",
        str(OLD), "techsapo.yaml", f"{OLD}/.techsapo", False, paths=paths,
    )  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Copied:
    return copied(tmp_path)


def copied(tmp_path: Path) -> Copied:
    """A copy as it is fetched, of a stack in /srv/old."""
    root = tmp_path / "fetched"
    files = {
        "/srv/old/techsapo.yaml": "project: shop\n",
        "/srv/old/secrets/slack": "hook",
        "/srv/old/.techsapo/keys/app-key": "key",
        "/etc/shop/restic": "pw",
    }
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o640)
    backups = root / "srv/old/.techsapo/backups"
    backups.mkdir()
    ring = Keyring(root / "srv/old/.techsapo/backup-keys")
    ring.make()
    repository = Repository(backups, ring)
    id_, partial, sequence = repository.begin(NOON)
    repository.commit(partial, replace(Manifest.draft("shop", "native"), id=id_, sequence=sequence))
    description = replace(
        described(
            kept("/srv/old/techsapo.yaml", What.SPEC),
            kept(str(Path("/srv/old/.techsapo/backups") / id_), What.BACKUP, folder=True, mode=0o700),
            kept("/srv/old/.techsapo/keys", What.KEYS, folder=True),
            kept("/srv/old/.techsapo/backup-keys", What.BACKUP_KEYS, folder=True),
            kept("/srv/old/secrets/slack", What.SECRET, named="secrets/slack", mode=0o640),
            kept(str(tmp_path / "etc/restic"), What.SECRET, named=str(tmp_path / "etc/restic")),
        ),
        backup=id_,
    )
    (root / str(tmp_path).lstrip("/") / "etc").mkdir(parents=True)
    (root / str(tmp_path / "etc/restic").lstrip("/")).write_text("pw")
    folder = root / "srv/old/.techsapo" / FOLDER
    folder.mkdir()
    (folder / FILE).write_text(description.text())
    return open_copy(root, snapshot(0), None)


def test_a_copy_that_did_not_come_whole_or_was_tampered_with_is_refused(copy: Copied) -> None:
    path, sums = copy.backup.folder / "manifest.json", copy.backup.folder / "SHA256SUMS"
    before = file_sha256(path)
    path.write_text(path.read_text().replace('"native"', '"compose"'))
    with pytest.raises(OpsError, match="did not arrive intact"):
        require_whole(open_copy(copy.root, snapshot(0)))
    sums.write_text(sums.read_text().replace(before, file_sha256(path)))  # its digests are right
    with pytest.raises(OpsError, match="was tampered with"):
        require_whole(open_copy(copy.root, snapshot(0)))


@each_row("name", ["description", "manifest", "version"])
def test_a_newer_form_names_the_wheel_that_came_along(tmp_path: Path, name: str) -> None:
    copy = copied(tmp_path)
    wheel = copy.root / "srv/old/.techsapo/recovery-kit/1/techsapo_ops-9.0.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    wheel.write_bytes(b"")
    path = copy.root / "srv/old/.techsapo" / FOLDER / FILE
    if name == "manifest":
        path = copy.backup.folder / "manifest.json"
    newer = {"tool": "9.0.0"} if name == "version" else {"version": 9}
    path.write_text(json.dumps({**json.loads(path.read_text()), **newer}))
    with pytest.raises(OpsError, match="newer techsapo") as caught:
        open_copy(copy.root, snapshot(0), None)
    assert "techsapo_ops-9.0.0" in caught.value.message
    assert f"pip install --no-deps --require-hashes -r {wheel.parent}/requirements.lock" in caught.value.hint


def test_everything_goes_below_the_new_folder_and_outside_files_where_they_were(
    copy: Copied, tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    found = places_in(copy, tmp_path / "new")
    targets = {each.item.named or each.item.what: each.target for each in found.placements}
    assert targets == {
        "backup": tmp_path / "new/.techsapo/backups" / copy.backup.id,
        "keys": tmp_path / "new/.techsapo/keys",
        "backup keys": tmp_path / "new/.techsapo/backup-keys",
        "secrets/slack": tmp_path / "new/secrets/slack",
        str(tmp_path / "etc/restic"): tmp_path / "etc/restic",
    }
    assert found.repointed == {}


@each_row("engine", ["compose", "swarm", None])
def test_on_another_engine_the_hosts_of_then_are_not_those_of_now(
    tmp_path: Path, engine: EngineName | None
) -> None:
    copy = copied(tmp_path)
    text = "project: shop\nengine: swarm\nhosts:\n  a: {address: 10.0.0.1}\nfloating_address: 10.0.0.9/24\n"
    (copy.root / "srv/old/techsapo.yaml").write_text(text)
    three = replace(copy, description=replace(copy.description, engine="swarm"))
    asked = Asked(
        "/away", engine=engine, settings=() if engine == "compose" else ("hosts.a.address=10.0.0.7",)
    )
    found = draft_of(three, places_in(three, tmp_path / "new"), asked, tmp_path / "new")
    said = read_yaml(found.text)
    if engine == "compose":
        assert said == {"project": "shop", "engine": "compose"}
    else:
        assert (said["hosts"], said["engine"]) == ({"a": {"address": "10.0.0.7"}}, "swarm")


def test_another_file_outside_stays_and_ours_lies_beside_the_spec(copy: Copied, tmp_path: Path) -> None:
    other = tmp_path / "etc/restic"
    other.parent.mkdir()
    other.write_text("another's")
    found = places_in(copy, tmp_path / "new")
    assert found.repointed == {str(other): "recovered/restic"}
    assert [each.target for each in found.moved] == [tmp_path / "new/recovered/restic"]
    other.write_text("pw")  # the same
    assert [each.there for each in places_in(copy, tmp_path / "new").placements][-1] is True


def test_what_was_below_the_home_of_a_user_who_is_not_here_lies_beside_the_spec(
    copy: Copied, tmp_path: Path
) -> None:
    outside = next(each for each in copy.description.paths if each.named.endswith("etc/restic"))
    kept = (replace(outside, named="~nouser/restic"),)
    moved = replace(copy, description=replace(copy.description, paths=kept))
    found = places_in(moved, tmp_path / "new")
    (placement,) = found.placements
    assert found.repointed == {"~nouser/restic": "recovered/restic"}
    assert placement.target == tmp_path / "new/recovered/restic"
    assert placement.why == "there is no user 'nouser' on this host"


def test_they_are_put_with_their_modes_once_and_again(copy: Copied, tmp_path: Path) -> None:
    into = tmp_path / "new"
    (into / ".techsapo").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (copy.root / "srv/old/.techsapo/keys/live").symlink_to("app-key")
    (copy.root / "srv/old/.techsapo/keys/away").symlink_to("/etc/shadow")
    (copy.root / "srv/old/.techsapo/keys/up").symlink_to("../../../etc")
    if os.geteuid() == 0:
        for path in (copy.root / "srv/old/.techsapo/keys/app-key", copy.backup.folder / "manifest.json"):
            os.chown(path, 54321, 54321)
    (copy.root / "srv/old/.techsapo/keys/app-key").chmod(0o4750)
    told: list[Path] = []

    def making(path: Path) -> None:
        assert path in told or not path.exists()
        told.append(path)

    left = []
    for _ in range(2):  # as after a kill
        for each in places_in(copy, into, frozenset(map(str, told))).placements:
            left += put(each, tmp_path / "prepared", into, making)
            assert each.target in told
    keys = into / ".techsapo/keys"
    assert (keys / "app-key").read_text() == (keys / "live").read_text() == "key"
    assert not (keys / "away").is_symlink()
    assert not (keys / "up").is_symlink()
    assert {"away", "up"} <= set(left)
    key = (keys / "app-key").stat()
    assert (key.st_uid, stat.S_IMODE(key.st_mode)) == (os.geteuid(), 0o750)
    assert stat.S_IMODE((into / "secrets/slack").stat().st_mode) == 0o640
    moved = into / ".techsapo/backups" / copy.backup.id / "manifest.json"
    assert moved.stat().st_uid == os.geteuid()
    assert not copy.backup.folder.exists()  # moved, not copied
    again = open_copy(copy.root, snapshot(0), into / ".techsapo/backups" / copy.backup.id)
    assert again.backup.id == copy.backup.id


def test_what_stands_in_the_way_is_named(copy: Copied, tmp_path: Path) -> None:
    there = tmp_path / "new/secrets/slack"
    there.parent.mkdir(parents=True)
    there.symlink_to("/etc/passwd")
    with pytest.raises(OpsError, match="secrets/slack already exists"):
        require_free(places_in(copy, tmp_path / "new"), frozenset())
    require_free(places_in(copy, tmp_path / "new"), frozenset({str(there)}))  # by this recovery


def test_a_link_on_the_way_to_a_file_outside_is_not_followed(copy: Copied, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "etc").symlink_to(tmp_path / "elsewhere")
    (secret,) = [e for e in places_in(copy, tmp_path / "new").placements if e.item.named.endswith("restic")]
    with pytest.raises(OpsError, match="symbolic link"):
        put(secret, tmp_path / "prepared", tmp_path / "new", lambda _: None)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_with_a_stack_is_refused_and_nothing_is_made_in_it(tmp_path: Path) -> None:
    (tmp_path / ".techsapo/ledger").mkdir(parents=True)
    with pytest.raises(OpsError, match="already has a stack"), Desk(tmp_path / ".techsapo").lock():
        pass
    assert [path.name for path in (tmp_path / ".techsapo").iterdir()] == ["ledger"]


def told_again(copy: Copied, *more: CopiedPath, but: str = "") -> None:
    """Let the description name `more`, and nothing of the kind `but`."""
    kept_ones = tuple(each for each in copy.description.paths if each.what != but)
    text = replace(copy.description, paths=(*kept_ones, *more)).text()
    (copy.root / "srv/old/.techsapo" / FOLDER / FILE).write_text(text)


@each_row("form", ["file", "folder above", "fifo", "missing", "another kind"])
def test_a_path_of_the_copy_that_is_none_is_refused_before_it_is_read(tmp_path: Path, form: str) -> None:
    copy = copied(tmp_path)
    host = tmp_path / "host"
    host.mkdir()
    (host / "shadow").write_text("this host's")
    taken = copy.root / "srv/taken"
    if form == "file":
        taken.symlink_to(host / "shadow")
    elif form == "folder above":
        (copy.root / "srv/host").symlink_to(host)
        taken = copy.root / "srv/host/shadow"
    elif form == "fifo":
        os.mkfifo(taken)
    elif form == "another kind":
        taken.mkdir()
    told_again(copy, kept(f"/{taken.relative_to(copy.root)}", What.SECRET, named="secrets/taken"))
    with pytest.raises(OpsError, match=r"the copy lacks the file /srv/.*, or has a link in its place"):
        open_copy(copy.root, snapshot(0), None)


def test_a_backup_that_a_link_leads_to_stays_where_it_is(copy: Copied, tmp_path: Path) -> None:
    host = tmp_path / "host"
    shutil.move(copy.backup.folder.parent, host)
    copy.backup.folder.parent.symlink_to(host)
    with pytest.raises(OpsError, match=r"lacks the folder .*, or has a link in its place"):
        open_copy(copy.root, snapshot(0), None)
    assert (host / copy.backup.id / "manifest.json").is_file()


def test_what_the_spec_does_not_name_is_put_nowhere_outside_and_no_mode_lets_others_write(
    copy: Copied, tmp_path: Path
) -> None:
    planted = replace(kept(str(tmp_path / "etc/restic"), What.FILE, mode=0o6777), path=f"{tmp_path}/cron.d/x")
    changed = replace(copy, description=replace(copy.description, paths=(planted,)))
    into = tmp_path / "new"
    into.mkdir()
    (found,) = places_in(changed, into).placements
    assert found.target == into / "recovered/x"
    assert "which the spec does not name" in found.why
    put(found, tmp_path / "prepared", into, lambda _: None)
    assert stat.S_IMODE(found.target.stat().st_mode) == 0o775


def test_the_journal_goes_last_so_that_a_killed_end_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path / ".techsapo")
    seen: list[bool] = []
    remove = shutil.rmtree

    def watched(path: Path) -> None:
        seen.append(desk.journal.path.exists())
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", watched)
    with desk.lock():
        desk.journal.begin(Recovering(Asked("/away"), "1" * 64, "x"))
        desk.fetched.mkdir()
        (desk.state / "data").mkdir()
        desk.remove()
    assert seen == [True, True, False]
    assert not desk.state.exists()
