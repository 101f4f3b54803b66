"""Links by which an alert is acknowledged: who is given the key and who the signatures."""

from __future__ import annotations

import hashlib
import stat
from datetime import UTC, datetime
from pathlib import Path

from monitoring_stack import monitoring_files, spec_of, topology_of
from rows import each_row

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.services.alertmanager.runtime import make_signatures
from techsapo_ops.services.alertmanager.signing import (
    FORMAT,
    are_signatures,
    given,
    key_file,
    key_of_app,
    signature,
    signatures,
    signatures_file,
    signed_start,
)

KEY = b"0" * 48
START = 1_835_395_199
"""The last second of 28 February 2028."""


def test_a_signature_is_of_one_key_one_stack_one_alert_and_one_start() -> None:
    made = signature(KEY, "shop", "AppDown", START)
    assert signed_start(made, KEY, "shop", "AppDown") == START
    others = [(b"1" * 48, "shop", "AppDown"), (KEY, "other", "AppDown"), (KEY, "shop", "NginxDown")]
    others += [(KEY, "shopAppDown", ""), (KEY, "", "shop\0AppDown")]
    assert [signed_start(made, *other) for other in others] == [None] * len(others)
    parts = made.partition(".")[2]
    forged = ["", made[:-1], made + "=", made.swapcase(), "日本語", "\0", parts, f"0{made}", f"+{made}"]
    # Of a day of a leap year, each later start has another part in its place.
    forged += [
        f"{later}.{parts}"
        for later in (START + 1, START + 60, START + 3600, START + 86_400, START + 366 * 86_400)
    ]
    forged += [f"{'9' * 5000}.{parts}", f"\u0661.{parts}"]
    assert [signed_start(each, KEY, "shop", "AppDown") for each in forged] == [None] * len(forged)


def test_links_of_two_months_put_together_are_no_third_day() -> None:
    starts = [
        int(datetime(2026, month, day, 3, 4, 5, tzinfo=UTC).timestamp())
        for month, day in ((7, 1), (5, 9), (7, 9))
    ]
    july, may, third = (signature(KEY, "shop", "AppDown", start).partition(".")[2] for start in starts)
    assert len({july, may, third}) == 3
    for cut in range(len(july) + 1):
        for parts in (july[:cut] + may[cut:], may[:cut] + july[cut:]):
            assert signed_start(f"{starts[2]}.{parts}", KEY, "shop", "AppDown") is None


def test_the_template_of_signatures_is_for_alertmanager_alone_and_the_key_for_the_app(tmp_path: Path) -> None:
    topology = topology_of(spec_of(), tmp_path)
    make_signatures(topology)
    files = [key_file(topology.layout), key_of_app(topology.layout), signatures_file(topology.layout)]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
    text = signatures_file(topology.layout).read_text()
    key = key_file(topology.layout).read_bytes()
    assert key.decode() not in text
    for name in (name for name, alert in alerts().items() if not alert.machines):
        assert f"/alerts/{name}/acknowledge?signature={{{{ $start.Unix }}}}." in text
    every = signatures(key, topology.spec.project, alerts(hosts=3))
    assert len(text) < len(every) < 450_000, "Docker keeps 500 KB as a secret"
    assert list(given(topology, "alertmanager").values()) == [signatures_file(topology.layout)]
    assert list(given(topology, "app").values()) == [key_of_app(topology.layout)]
    assert given(topology, "grafana") == {}


def test_a_key_that_was_removed_is_made_anew_into_the_files_that_containers_have(tmp_path: Path) -> None:
    topology = topology_of(spec_of(), tmp_path)
    make_signatures(topology)
    layout = topology.layout
    before = {f: (f.stat().st_ino, f.read_text()) for f in (key_of_app(layout), signatures_file(layout))}
    make_signatures(topology)
    assert {f: (f.stat().st_ino, f.read_text()) for f in before} == before
    with signatures_file(layout).open("a") as file:  # what was changed by hand is made again as well
        file.write("{{/* mine */}}\n")
    make_signatures(topology)
    assert {f: (f.stat().st_ino, f.read_text()) for f in before} == before
    key_file(layout).unlink()
    make_signatures(topology)
    for file, (inode, text) in before.items():
        assert file.stat().st_ino == inode
        assert file.read_text() != text


@each_row("missing", ["prometheus", "alertmanager"])
def test_nothing_is_signed_where_nobody_could_acknowledge(tmp_path: Path, missing: str) -> None:
    topology = topology_of(spec_of(monitoring={missing: {"enabled": False}}), tmp_path)
    make_signatures(topology)
    assert not key_file(topology.layout).exists()


@each_row(
    "engine, path",
    [("native", "/srv/techsapo/keys/acknowledge.tmpl"), ("compose", "/run/secrets/acknowledge.tmpl")],
)
def test_alertmanager_is_told_where_the_signatures_are_and_no_rendered_file_holds_one(
    engine: str, path: str
) -> None:
    files = monitoring_files(spec_of(), engine=engine)  # type: ignore[arg-type]
    config = read_yaml(files["alertmanager/alertmanager.yml"].content)
    assert config["templates"] == ["templates/*.tmpl", path]
    assert not any("signature=" in file.content for file in files.values())


def test_the_template_is_known_again_by_its_first_line_and_another_form_of_it_has_another_number() -> None:
    names = ("AppDown", "DiskFull")
    text = signatures(KEY, "shop", names)
    assert are_signatures(text, KEY, "shop", names)
    others = [(b"1" * 48, "shop", names), (KEY, "shops", names), (KEY, "shop", names[:1])]
    assert not any(are_signatures(text, *of) for of in others)
    assert not are_signatures(text.replace("AppDown", "AppUp"), KEY, "shop", names)
    digest = hashlib.sha256(text.partition("\n")[2].encode()).hexdigest()[:16]
    assert (FORMAT, digest) == ("signatures 1", "6ff02637d9f55c87")
