"""Certificates: made, checked, kept in versions and renewed in time."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rows import each_row

from techsapo_ops.adapters import files
from techsapo_ops.certs import self_signed
from techsapo_ops.certs.authority import AcmeCa
from techsapo_ops.certs.checks import problems, renewal_time, require
from techsapo_ops.certs.material import Pair, covers
from techsapo_ops.certs.self_signed import Authority, due, ensure, local_authority, sign
from techsapo_ops.certs.store import CertificateState, Origin, Store
from techsapo_ops.errors import OpsError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["example.com", "*.example.com"]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return sign(NAMES, local_authority(tmp_path, NOW), now=NOW)


def test_every_problem_is_named_at_once(pair: Pair, tmp_path: Path) -> None:
    other = sign(["other.example"], local_authority(tmp_path / "other", NOW), now=NOW)
    leaf, _, _ = pair.chain.partition(b"-----END CERTIFICATE-----\n")
    wrong = Pair(other.key, leaf + b"-----END CERTIFICATE-----\n" + other.chain)
    with pytest.raises(OpsError) as caught:
        require(wrong, ["a.b.example.com"], NOW + timedelta(days=91))
    said = (
        "another certificate",
        "did not sign certificate 1",
        "expired on 2026-04-01",
        "but not a.b.example.com",
    )
    assert [why for why in said if why not in caught.value.message] == []


def test_a_clock_that_is_behind_is_asked_about_and_a_few_minutes_are_forgiven(pair: Pair) -> None:
    begins = pair.leaf.not_valid_before_utc
    assert problems(pair, [], begins - timedelta(minutes=4)) == ()
    (why,) = problems(pair, [], begins - timedelta(days=1))
    assert "clock says" in why


@each_row("key", [b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_can_not_be_read_says_so(pair: Pair, key: bytes) -> None:
    with pytest.raises(OpsError, match="not PEM"):
        problems(Pair(key, pair.chain), [], NOW)


def test_a_star_stands_for_one_label_and_a_good_pair_has_no_problem(pair: Pair) -> None:
    good = ["example.com", "www.EXAMPLE.com", "*.example.com"]
    assert problems(pair, good, NOW) == ()
    others = ["a.b.example.com", "*.www.example.com", "com", "badexample.com"]
    assert [name for name in (*good, *others) if covers(NAMES, name)] == good


BACKDATED = timedelta(hours=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return local_authority(tmp_path_factory.mktemp("ca"), NOW)


def of_days(authority: Authority, days: int) -> x509.Certificate:
    return sign(["example.com"], authority, days=days, now=NOW + BACKDATED).leaf


@each_row("days, share", [(90, 1 / 3), (64, 1 / 3), (45, 1 / 3), (11, 1 / 3), (6, 1 / 2)])
def test_renewal_follows_the_life_of_the_certificate(authority: Authority, days: int, share: float) -> None:
    shown = of_days(authority, days)
    total = shown.not_valid_after_utc - shown.not_valid_before_utc
    left = (shown.not_valid_after_utc - renewal_time(shown)) / total
    assert share <= left <= share + 1 / 30


def test_renewals_of_certificates_made_together_are_spread(authority: Authority) -> None:
    times = {renewal_time(of_days(authority, 90)) for _ in range(20)}
    assert max(times) - min(times) > timedelta(hours=6)


@each_row("days, taken", [(-100, True), (40, True), (89, True), (90, False), (400, False)])
def test_the_ca_s_wish_decides_within_the_life(authority: Authority, days: int, taken: bool) -> None:
    shown = of_days(authority, 90)
    wish = NOW + timedelta(days=days, hours=2)
    assert renewal_time(shown, wish) == (wish if taken else renewal_time(shown))


def test_for_a_life_of_days_the_ca_s_wish_does_not_count(authority: Authority) -> None:
    shown = of_days(authority, 6)
    assert renewal_time(shown, NOW) == renewal_time(shown)


ORIGIN = Origin("self-signed")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "site")


def signed(tmp_path: Path) -> Pair:
    return sign(["example.com"], local_authority(tmp_path / ".ca", NOW), now=NOW)


def test_a_version_is_in_use_only_when_it_is_made_so(store: Store, tmp_path: Path) -> None:
    first, second = (store.put(signed(tmp_path), ORIGIN) for _ in range(2))
    assert (first.number, second.number) == (1, 2)
    assert store.live() is None
    store.activate(first)
    store.activate(second)
    assert store.live() == second
    links = [os.readlink(store.directory / n) for n in ("fullchain.pem", "privkey.pem")]  # noqa: PTH115
    assert links == ["live/fullchain.pem", "live/privkey.pem"], "key and chain change together"
    assert store.chain.read_bytes() == second.pair.chain
    assert stat.S_IMODE((store.directory / "privkey.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(store.chain.stat().st_mode) == 0o644


def test_what_a_killed_run_left_is_no_version_and_goes_with_the_next(store: Store, tmp_path: Path) -> None:
    half = store.directory / "versions/.new-abc"
    half.mkdir(parents=True)
    (half / "privkey.pem").write_bytes(b"half")
    assert store.versions() == ()
    store.put(signed(tmp_path), ORIGIN)
    assert not half.exists()


def test_old_versions_go_but_not_the_one_in_use(store: Store, tmp_path: Path) -> None:
    first, *_ = [store.put(signed(tmp_path), ORIGIN) for _ in range(6)]
    store.activate(first)
    store.prune()
    assert [v.number for v in store.versions()] == [1, 4, 5, 6]


def test_the_state_comes_back_as_it_was_written(store: Store) -> None:
    state = CertificateState(
        deployed=2, hooks_pending=True, failures=3, failure="no", renewed_at=NOW,
        suggested_at=NOW, suggested_serial="ab",
    )  # fmt: skip
    assert store.state == CertificateState()
    store.remember(state)
    assert store.state == state
    (store.directory / "state.json").write_text("[1")
    with pytest.raises(OpsError, match="damaged"):
        _ = store.state


def test_a_disk_that_can_not_be_written_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    store.directory.mkdir()
    (store.directory / "versions").write_text("in the way")
    with pytest.raises(OpsError, match="cannot store certificate site"):
        store.put(signed(tmp_path), ORIGIN)
    assert [p.name for p in store.directory.iterdir()] == ["versions"]


def test_the_key_of_an_acme_account_is_its_owners_alone(tmp_path: Path) -> None:
    ca = AcmeCa("https://ca.example/dir")
    ca.server(tmp_path)
    folder = ca.folder(tmp_path)
    assert stat.S_IMODE((folder / "account.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


SITE_NAMES = ["techsapo.example.com", "*.techsapo.example.com", "127.0.0.1", "::1"]


def leaf(directory: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / "fullchain.pem").read_bytes())


def snapshot(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in directory.rglob("*") if p.is_file()}


def test_a_certificate_holds_all_names_and_is_signed_by_the_stack_s_ca_by_private_keys(
    tmp_path: Path,
) -> None:
    made = ensure(tmp_path / "web", SITE_NAMES, now=NOW)
    assert made.changed
    private = (made.key, made.chain, tmp_path / ".ca/ca.key", tmp_path / ".ca")
    assert [stat.S_IMODE(p.stat().st_mode) for p in private] == [0o600, 0o644, 0o600, 0o700]
    chain = x509.load_pem_x509_certificates(made.chain.read_bytes())
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == SITE_NAMES[:2]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == SITE_NAMES[2:]
    chain[0].verify_directly_issued_by(chain[1])
    assert chain[1].extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not chain[0].extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_what_is_due_is_told_before_anything_is_written(tmp_path: Path) -> None:
    web = tmp_path / "web"
    assert due(web, SITE_NAMES, now=NOW) == "there was no local CA, or it was about to expire"
    assert not web.exists()
    ensure(web, SITE_NAMES, days=365, now=NOW)
    before = snapshot(tmp_path)
    assert due(web, SITE_NAMES, now=NOW) == ""
    assert due(web, ["other.example"], now=NOW) == "the names of the certificate changed"
    assert due(web, SITE_NAMES, now=NOW + timedelta(days=220)) == ""
    late = due(web, SITE_NAMES, now=NOW + timedelta(days=250))
    assert late == "due for renewal: expires on 2027-01-01 00:00 UTC"
    assert due(web, SITE_NAMES, now=NOW + timedelta(days=3300)).startswith("there was no local CA")
    assert snapshot(tmp_path) == before
    (web / "privkey.pem").unlink()
    assert due(web, SITE_NAMES, now=NOW) == "there was no certificate"


def test_it_is_renewed_when_a_third_of_its_life_is_left_and_untouched_before(tmp_path: Path) -> None:
    ensure(tmp_path / "web", SITE_NAMES, days=90, now=NOW)
    before = snapshot(tmp_path)
    spelt = [SITE_NAMES[0].upper(), SITE_NAMES[2], "0:0:0:0:0:0:0:1", SITE_NAMES[1]]
    for names, days in ((spelt, 1), (SITE_NAMES, 56)):
        assert not ensure(tmp_path / "web", names, days=90, now=NOW + timedelta(days=days)).changed
    assert snapshot(tmp_path) == before
    renewed = ensure(tmp_path / "web", SITE_NAMES, days=90, now=NOW + timedelta(days=60))
    assert renewed.reason.startswith("due for renewal")
    assert leaf(tmp_path / "web").not_valid_after_utc == NOW + timedelta(days=150)


@each_row("names", [SITE_NAMES[:1], [*SITE_NAMES, "more.example.com"]])
def test_changed_names_make_a_new_one(tmp_path: Path, names: list[str]) -> None:
    ensure(tmp_path / "web", SITE_NAMES, now=NOW)
    assert ensure(tmp_path / "web", names, now=NOW).reason == "the names of the certificate changed"
    assert not ensure(tmp_path / "web", names, now=NOW).changed


def test_two_certificates_share_the_ca_and_a_new_ca_replaces_both(tmp_path: Path) -> None:
    ensure(tmp_path / "a", ["a.example"], now=NOW)
    ensure(tmp_path / "b", ["b.example"], now=NOW)
    assert leaf(tmp_path / "a").issuer == leaf(tmp_path / "b").issuer
    authority = x509.load_pem_x509_certificate((tmp_path / ".ca/ca.pem").read_bytes())
    leaf(tmp_path / "b").verify_directly_issued_by(authority)
    (tmp_path / ".ca/ca.key").unlink()
    assert ensure(tmp_path / "a", ["a.example"], now=NOW).reason == "the local CA changed"
    assert ensure(tmp_path / "b", ["b.example"], now=NOW).reason == "the local CA changed"


def test_a_key_of_another_certificate_is_noticed(tmp_path: Path) -> None:
    made = ensure(tmp_path / "web", SITE_NAMES, now=NOW)
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made.key.write_bytes(other)
    assert ensure(tmp_path / "web", SITE_NAMES, now=NOW).reason == "key and certificate did not match"
    assert not ensure(tmp_path / "web", SITE_NAMES, now=NOW).changed


@each_row("name", ["web/fullchain.pem", "web/privkey.pem", ".ca/ca.pem", ".ca/ca.key"])
@each_row("content", [b"", b"-----BEGIN CERTIFICATE-----\nMIIB", "日本語".encode()])
def test_a_file_that_was_cut_short_is_mended(tmp_path: Path, name: str, content: bytes) -> None:
    ensure(tmp_path / "web", SITE_NAMES, now=NOW)
    (tmp_path / name).write_bytes(content)
    assert ensure(tmp_path / "web", SITE_NAMES, now=NOW).changed
    assert not ensure(tmp_path / "web", SITE_NAMES, now=NOW).changed


def test_killed_between_key_and_chain_the_next_call_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure(tmp_path / "web", SITE_NAMES, now=NOW)

    def killed(path: Path, content: bytes, mode: int = 0o644) -> None:
        if path.name == "fullchain.pem":
            raise KeyboardInterrupt
        files.write_atomic(path, content, mode)

    with monkeypatch.context() as patch:
        patch.setattr(self_signed, "write_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            ensure(tmp_path / "web", SITE_NAMES[:1], now=NOW)
    assert ensure(tmp_path / "web", SITE_NAMES[:1], now=NOW).changed
    assert not ensure(tmp_path / "web", SITE_NAMES[:1], now=NOW).changed
