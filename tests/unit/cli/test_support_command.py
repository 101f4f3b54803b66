"""`techsapo doctor --bundle`: what is in it, and what must not be."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from in_process import techsapo
from rows import each_row

from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.errors import OpsError
from techsapo_ops.watch.doctor import bundle
from techsapo_ops.watch.doctor.bundle import MOST_BYTES, MOST_IN_ALL, Item, _bounded, write
from techsapo_ops.watch.secrets import Scrubber

SECRETS = {
    "spec": 'of-the-"spec"-9f3', "file": "of-a-file-77aa", "environment": "of-dotenv-4c1d",
    "made": "made-by-up-8e2b", "line": "hunter2hunter2",
}  # fmt: skip
NO_PROGRAMS = {"PATH": ""}
HARD = "gr'afa\"na <$p%w\\1"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose every corner holds a secret, also where none belongs.

    What commands say is asked of this process, one after the other.
    """
    monkeypatch.setattr(bundle, "at_once", one_by_one)
    monkeypatch.setattr(bundle, "_say", in_this_process)
    folder = tmp_path / "project"
    folder.mkdir()
    spoken = f"told {SECRETS['spec']} and {json.dumps(SECRETS['spec'])}, {SECRETS['file']}"
    files = {
        "techsapo.yaml": "project: lab\nengine: native\n"
        f"mysql: {{password: {json.dumps(SECRETS['spec'])}}}\n"
        "redis: {password_file: secrets/redis}\n"
        "providers:\n  gpt: {kind: openai, model: gpt-6.1-sol, api_key: '${OPENAI_API_KEY}'}\n"
        "  sim: {kind: simulated}\n",
        "secrets/redis": SECRETS["file"],
        ".env": f"OPENAI_API_KEY={SECRETS['environment']}\n",
        ".techsapo/keys/redis-operator-password": SECRETS["made"],
        ".techsapo/logs/app.log": f"{spoken}\n{SECRETS['environment']}\nmysql -p{SECRETS['line']} techsapo\n",
        ".techsapo/logs/supervisord.log": f"spawned with {SECRETS['made']}\n",
        ".techsapo/generated/prometheus/prometheus.yml": f"# {SECRETS['made']}\nglobal: {{}}\n",
        ".techsapo/generated/secrets/redis": SECRETS["file"],
        ".techsapo/generated/.manifest.json": '{"version": 1, "files": {}}',
        ".techsapo/format": "1\n",
        ".techsapo/journal/apply.json": json.dumps({"note": SECRETS["spec"]}),
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
    return folder


def contents(file: Path) -> dict[str, str]:
    found = {}
    with tarfile.open(file) as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            assert content is not None
            found[entry.name.partition("/")[2]] = content.read().decode()
    return found


def one_by_one(asked: Mapping[str, Callable[[], str]], _: float) -> dict[str, str]:
    return {name: ask() for name, ask in asked.items()}


def in_this_process(sources: bundle.Sources, words: tuple[str, ...]) -> str:
    file = sources.layout.spec_file
    done = techsapo(file.parent, *words, "--file", str(file), env=NO_PROGRAMS)
    return done.stdout + done.stderr


def bundled(folder: Path) -> dict[str, str]:
    """The files of a bundle of the project in `folder`."""
    done = techsapo(folder, "doctor", "--bundle", "b.tar.gz", "--yes", env=NO_PROGRAMS)
    assert done.returncode == 0, done.stderr
    found = contents(folder / "b.tar.gz")
    everything = "\n".join(found.values())
    assert {name: secret in everything for name, secret in SECRETS.items()} == dict.fromkeys(SECRETS, False)
    told = done.stdout.splitlines()
    assert told[0].split() == ["FILE", "SIZE", "WHAT"], "it is listed before it is written"
    assert told[-1] == "b.tar.gz"
    return found


def test_it_holds_what_is_needed_and_no_secret_of_the_stack(folder: Path) -> None:
    found = bundled(folder)
    assert stat.S_IMODE((folder / "b.tar.gz").stat().st_mode) == 0o600
    assert {
        "contents.txt", "version.json", "validate.json", "ps.json", "status.json", "health.json",
        "doctor.json", "plan.txt", "spec.yaml", "generated/prometheus/prometheus.yml",
        "notes/journal/apply.json", "logs/app.log", "logs/supervisord.log",
    } <= set(found)  # fmt: skip
    assert json.dumps(SECRETS["spec"])[1:-1] not in "\n".join(found.values())
    assert "generated/secrets/redis" not in found
    assert found["logs/app.log"].startswith("told [SECRET] and ")
    assert "mysql -p[PASSWORD_1] techsapo" in found["logs/app.log"]
    assert found["contents.txt"].startswith("Masked: ")
    assert json.loads(found["ps.json"])["services"] == []


def test_each_command_is_a_process_of_its_own_whose_errors_are_kept(tmp_path: Path) -> None:
    layout: Any = SimpleNamespace(spec_file=tmp_path / "techsapo.yaml")
    started = (sys.executable, "-P", "-m", "techsapo_ops", "--lang", "en")
    sources = bundle.Sources(layout, cast(Any, None), None, SubprocessRunner(), {"x": ("validate",)}, started)
    ((name, what, text),) = bundle._said(sources)
    assert (name, what) == ("x", "techsapo validate")
    assert "--- stderr, exit code 1\nerror: there is no spec at " in text


@pytest.fixture
def asks_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, whose bundle has nothing that commands say."""
    monkeypatch.setattr(bundle, "_said", lambda _: iter(()))
    return folder


def test_nothing_is_written_unless_it_was_seen_and_agreed_to(asks_nothing: Path) -> None:
    before = sorted(asks_nothing.iterdir())
    unasked = techsapo(asks_nothing, "doctor", "--bundle", "b.tar.gz", env=NO_PROGRAMS)
    assert unasked.returncode == 1
    assert unasked.stderr.endswith("next: techsapo doctor --bundle b.tar.gz --yes\n")
    assert "logs/app.log" in unasked.stdout
    assert sorted(asks_nothing.iterdir()) == before


@each_row(
    "ending",
    ["mysqll: {}\n", "nginx: [\n", "mysql: {\n  password_file: ~nouser/x\n}\n"],
    ids=["a field of no name", "no YAML", "a file in the home folder of nobody"],
)
def test_a_broken_spec_is_what_it_may_be_about_and_its_secrets_stay_out_too(
    folder: Path, ending: str
) -> None:
    spec, log = folder / "techsapo.yaml", folder / ".techsapo/logs/app.log"
    before = spec.read_text(), log.read_text()
    headers = "app: {tracing: {endpoint: 'http://127.0.0.1:4318', headers: {X-Team: plainvalue77}}}\n"
    spec.write_text(f"{before[0]}{headers}grafana_pasword: {SECRETS['line']}\n{ending}")
    log.write_text(f"{before[1]}sent plainvalue77\n")
    try:
        found = bundled(folder)
    finally:
        (folder / "b.tar.gz").unlink()
        spec.write_text(before[0])
        log.write_text(before[1])
    assert "techsapo.yaml" in found["validate.json"]
    assert ending[0] == "n" or "plainvalue77" not in "\n".join(found.values())


def test_neither_a_file_nor_anothers_link_is_written_over(asks_nothing: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (asks_nothing / "link.tar.gz").symlink_to(precious)
    (asks_nothing / "there.tar.gz").write_text("mine")
    for name, words in (("link", "is a symbolic link"), ("there", "already exists")):
        done = techsapo(asks_nothing, "doctor", "--bundle", f"{name}.tar.gz", "--yes")
        assert done.returncode == 1
        assert words in done.stderr
    assert (precious.read_text(), (asks_nothing / "there.tar.gz").read_text()) == ("mine", "mine")


def test_what_is_odd_among_files_and_logs_neither_hides_others_nor_leads_elsewhere(
    asks_nothing: Path, tmp_path: Path
) -> None:
    """A link, a pipe, names that are no text or hold a line break, and one endless line."""
    shadow, generated = tmp_path / "shadow", asks_nothing / ".techsapo/generated/prometheus"
    shadow.write_text("root:$6$of-another-user")
    (generated / "planted.yml").symlink_to(shadow)
    os.mkfifo(generated / "pipe.yml")
    for name in (b"\xff.yml", b"a\n   99  forged.txt  (x)", b"\x1b[31mred"):
        (generated / os.fsdecode(name)).write_bytes(b"held\n")
    with (asks_nothing / ".techsapo/logs/app.log").open("a") as log:
        log.write("before\n" + "x" * (MOST_BYTES + 1) + "\nafter\n")
    found = bundled(asks_nothing)
    assert "of-another-user" not in "\n".join(found.values())
    assert found["generated/prometheus/\\xff.yml"] == "held\n"
    listed = found["contents.txt"].splitlines()
    assert not [line for line in listed if line.split()[1:2] == ["forged.txt"]]
    assert "\x1b" not in found["contents.txt"]
    assert found["logs/app.log"].splitlines()[-3:] == [
        "before", f"[a line of {MOST_BYTES + 1} characters was left out]", "after",
    ]  # fmt: skip


def test_its_size_is_bounded_and_of_a_long_part_the_end_is_kept() -> None:
    long = "".join(f"line {number}\n" for number in range(200_000))
    kept = _bounded(long)
    assert len(kept) <= MOST_BYTES + 100
    assert kept.endswith("line 199999\n")
    assert kept.splitlines()[1].startswith("line "), "no half of a line, which could be half of a secret"
    assert MOST_IN_ALL >= 10 * MOST_BYTES


def test_all_parts_together_are_bounded_and_what_there_is_no_room_for_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bundle, "MOST_IN_ALL", 1000)
    texts = [(f"logs/{number}.log", "a log", "x" * 400) for number in range(4)]
    monkeypatch.setattr(bundle, "_texts", lambda _: iter(texts))
    listed, *parts = bundle.Sources.collect(cast(bundle.Sources, None), Scrubber([]))
    left_out = b"left out: the bundle has reached its size\n"
    assert [part.content for part in parts] == [b"x" * 400, b"x" * 400, left_out, left_out]
    assert listed.content.decode().count("(a log)") == 4


def test_a_full_disk_leaves_no_half_of_it(tmp_path: Path) -> None:
    target = tmp_path / "no" / "such" / "folder"
    target.parent.parent.mkdir()
    target.parent.write_text("a file where a folder should be")
    with pytest.raises(OpsError):
        write(target, [Item("a", "text", "a")])
    assert not target.exists()


def test_a_secret_is_known_in_every_form_in_which_it_is_written() -> None:
    scrubber = Scrubber(['a"b\\c%鍵\nsecond-line', "ab"])
    value = 'a"b\\c%鍵'
    shown = scrubber.scrub(
        f"{value} | {json.dumps(value)} | {json.dumps(value, ensure_ascii=False)} | second-line | cab"
    )
    assert value not in shown
    assert "second-line" not in shown
    assert shown.endswith("| cab"), "what is too short to be a secret stays"
    assert scrubber.counts["known"] == 4


@each_row(
    "secret, told",
    [
        ("rest:http://rest:pass%2Fword1@10.0.0.5/", "user rest, password pass%2Fword1"),
        ("rest:http://rest:pass%2Fword1@10.0.0.5/", "user rest, password pass/word1"),
        ("https://hooks.example.com/services/T0/pathtoken12345", "POST /services/T0/pathtoken12345 404"),
        ("https://p.example.com/9b0e4d71-aaaa-bbbb-cccc-11112222/start", "9b0e4d71-aaaa-bbbb-cccc-11112222"),
        ("https://example.com/x?apikey=abc123def456", "the key abc123def456 is unknown"),
        (HARD, "YAML: 'gr''afa\"na <$p%w\\1'"),
        (HARD, "sh: 'gr'\"'\"'afa\"na <$p%w\\1'"),
        (HARD, "sh: 'gr'\\''afa\"na <$p%w\\1'"),
        (HARD, 'sh: "gr\'afa\\"na <\\$p%w\\\\1"'),
        (HARD, "supervisord: gr'afa\"na <$p%%w\\1"),
        (HARD, 'compose: "gr\'afa\\"na <$$p%w\\\\1"'),
        (HARD, "HTML: gr&#x27;afa&quot;na &lt;$p%w\\1, gr&#39;afa&#34;na &lt;$p%w\\1"),
    ],
)  # fmt: skip
def test_a_secret_is_known_in_its_parts_and_however_it_is_written(secret: str, told: str) -> None:
    said = Scrubber([secret]).scrub(told)
    assert "[SECRET" in said
    for part in ("word1", "pathtoken", "9b0e4d71", "abc123", "afa", "w\\1"):
        assert part not in said


def test_the_common_words_of_an_address_stay() -> None:
    scrubber = Scrubber(
        ["http://127.0.0.1:5001/api/v1/alerts", "https://user:longpassword@example.com/api/v1beta1"]
    )
    told = "GET /api/v1/alerts from 127.0.0.1:5001, example.com/api/v1beta1"
    assert scrubber.scrub(told) == told


def test_a_digest_by_which_a_weak_password_could_be_guessed_is_told_only_to_be_compared() -> None:
    digests = [hashlib.sha256(password).hexdigest() for password in (b"summer26", b"winter26")]
    image = f"redis@sha256:{digests[0]}"
    told = [
        Scrubber([]).scrub(f'{{"files": {{"a": "{digests[0]}", "b": "{digests[1]}"}}, "c": "{image}"}}')
        for _ in "ab"
    ]
    first = json.loads(told[0])
    assert first["c"] == image
    assert not {first["files"]["a"], first["files"]["b"]} & set(digests)
    assert first["files"]["a"] != first["files"]["b"]
    assert told[0] != told[1], "another bundle has others"
    scrubber = Scrubber([])
    assert scrubber.scrub(digests[0]) == scrubber.scrub(digests[0])


def test_what_stands_in_a_command_of_the_spec_is_known_in_the_logs_too() -> None:
    scrubber = Scrubber([], "deploy_hooks: ['curl -u deploy:kQ7vx2pw33 https://example.com/d']")
    assert "kQ7vx2pw33" not in scrubber.scrub("user deploy with kQ7vx2pw33 was refused")
