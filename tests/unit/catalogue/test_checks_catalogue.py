"""The checks that may be proposed only read, and nothing but a value of its type gets into a slot."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rows import each_row

from techsapo_ops.catalogue.checks import MOST_CHECKS, Check, Known, checks, checks_about
from techsapo_ops.catalogue.topics import plain, topics, topics_in
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.wallbounce.verdict.commands import dangerous

KNOWN = Known(frozenset({"shop"}), frozenset({"db-1", "10.0.0.1", "fe80::1"}))
GOOD = {
    "unit": ["shop.service", "getty@tty1.service"], "service": ["shop"],
    "host": ["db-1", "10.0.0.1", "fe80::1"], "port": ["1", "443", "65535"], "minutes": ["5", "1440"],
    "path": ["/var/lib/mysql", "/srv", "/home/shop/a.b"],
    "log": ["/var/log/shop/err.log"], "interface": ["eth0", "br-1.20"], "container": ["shop-1", "a.b_c"],
    "database": ["shop_2"], "alert": ["DiskAlmostFull"],
}  # fmt: skip
BAD = {
    "unit": ["-H evil", "--now", "a b", "a;b", "a/b", "$(a)"], "service": ["other", "shop "],
    "host": ["evil.example", "db-1;id", "-c"], "port": ["0", "65536", "-1", "80 ", "８０", "1e3"],
    "minutes": ["0", "-5", "99999", "5m"], "interface": ["-s", "eth0;", "a" * 16],
    "path": ["/", "/proc/1/environ", "/var/../etc", "/var/.ssh", "var/log", "/var//log", "/var/a b", "/root"],
    "log": ["/etc/shadow", "/var/log", "/var/log/../lib/x", "/var/log/-f", "/var/log/.hidden"],
    "container": ["-f", "a b"], "database": ["a;DROP", "1x", "--all"], "alert": ["A B", "-x", "A;"],
}  # fmt: skip
READS = {
    "curl", "df", "dmesg", "docker", "du", "findmnt", "free", "ip", "journalctl", "lsof", "mariadb-admin",
    "mariadb-show", "nginx", "ping", "ps", "redis-cli", "resolvectl", "ss", "stat", "systemctl", "tail",
    "techsapo", "timedatectl", "timeout", "vmstat",
}  # fmt: skip
"""Each is looked at by `test_each_command_is_one_that_reads`: a new one is a decision."""
COMMANDS: list[dict[str, Any]] = read_yaml(
    (Path(__file__).parents[2] / "cases" / "every_command.yaml").read_text(encoding="utf-8")
)


def filled() -> Iterator[tuple[Check, tuple[str, ...]]]:
    """Every check with each good value of its slots."""
    for check in checks().values():
        for number in range(max((len(GOOD[slot]) for slot in check.slots), default=1)):
            values = {slot: GOOD[slot][number % len(GOOD[slot])] for slot in check.slots}
            argv = check.filled(values, KNOWN)
            assert argv is not None, (check.name, values)
            yield check, argv


def test_no_danger_is_recognised_in_any_check_and_its_words_survive_a_shell() -> None:
    for check, argv in filled():
        assert dangerous(shlex.join(argv)) == (), check.name
        assert tuple(shlex.split(shlex.join(argv))) == argv
        assert not any(re.search(r"[\s;&|<>$`\\]", word) for word in argv if word != "{{json .State}}"), argv


def test_each_command_is_one_that_reads() -> None:
    assert {check.argv[0] for check in checks().values()} == READS
    ours = {row["command"] for row in COMMANDS if not row.get("changes")}
    for _, argv in filled():
        words = " ".join(argv)
        if argv[0] == "techsapo":
            assert any(
                words == f"techsapo {command}" or words.startswith(f"techsapo {command} ") for command in ours
            )
        if argv[0] == "curl":
            assert argv[-1].startswith("http://127.0.0.1:")
            assert "--head" in argv
        if argv[0] == "timeout":
            assert argv[2:4] == ("openssl", "s_client")


@each_row("slot,value", [(slot, value) for slot, values in BAD.items() for value in values])
def test_a_value_that_is_not_of_its_type_is_refused(slot: str, value: str) -> None:
    using = [check for check in checks().values() if slot in check.slots]
    assert using, f"no check has {slot}"
    for check in using:
        values = {each: GOOD[each][0] for each in check.slots}
        assert check.filled(values, KNOWN) is not None
        assert check.filled({**values, slot: value}, KNOWN) is None
        assert check.filled({**values, slot: f"{values[slot]}\n"}, KNOWN) is None


@given(st.sampled_from(sorted(GOOD)), st.text(max_size=40))
def test_whatever_a_slot_takes_is_one_plain_word(slot: str, value: str) -> None:
    check = next(check for check in checks().values() if slot in check.slots)
    argv = check.filled({**{each: GOOD[each][0] for each in check.slots}, slot: value}, KNOWN)
    if argv is not None:
        assert re.fullmatch(r"[A-Za-z0-9:_.@/+-]+", value, re.ASCII)
        assert value[0] != "-"
        assert shlex.quote(value) == value


def test_values_too_few_or_too_many_fill_nothing() -> None:
    assert checks()["disk_space"].filled({"unit": "x"}, KNOWN) is None
    assert checks()["unit_status"].filled({}, KNOWN) is None


def test_without_known_names_no_name_is_looked_up() -> None:
    assert checks()["name_lookup"].filled({"host": "db-1"}, Known()) is None


def test_each_check_says_in_both_languages_what_it_tells() -> None:
    for check in checks().values():
        for words in (check.tells, check.reads):
            assert words.keys() == {"en", "ja"}
            assert re.search(r"[\u3040-\u9fff]", words["ja"]), check.name
        assert check.signs.keys() <= topics().keys()


OUTPUTS = [
    ("disk_space", "disk", "Filesystem Size Used Avail Use% Mounted on\n/dev/sda1 40G 40G 0 100% /", False),
    ("disk_space", "disk", "Filesystem Size Used Avail Use% Mounted on\n/dev/sda1 40G 10G 30G 26% /", True),
    ("disk_space", "disk", "df: command not found", False),
    ("disk_space", "inodes", "Filesystem Size Used Avail Use%\n/dev/sda1 40G 10G 30G 26%", False),
    ("inodes", "inodes", "Filesystem Inodes IUsed IFree IUse%\n/dev/sda1 10 1 9 10%", True),
    ("clock", "clock", "Timezone=UTC\nNTPSynchronized=yes", True),
    ("clock", "clock", "Timezone=UTC\nNTPSynchronized=no", False),
    ("served_certificate", "certificate", "CONNECTION ESTABLISHED\nVerification: OK", True),
    ("served_certificate", "certificate", "verify error:num=10:certificate has expired", False),
    ("memory", "memory", "total used free\nMem: 1 1 0", False),
]  # fmt: skip


@each_row("check,topic,output,out", OUTPUTS)
def test_an_output_rules_out_what_it_is_sure_of_alone(check: str, topic: str, output: str, out: bool) -> None:
    assert checks()[check].rules_out(frozenset({topic}), plain(output)) is out
    assert not checks()[check].rules_out(frozenset({topic, "traffic"}), plain(output))
    assert not checks()[check].rules_out(frozenset(), plain(output))


TEXTS = [
    ("RedisMemoryHigh", {"memory", "cache"}), ("redis_memory_used_bytes", {"memory", "cache"}),
    ("メモリ不足で強制終了しました", {"memory"}), ("No space left on device", {"disk"}),
    ("the deployment of shop", {"release"}), ("証明書の期限が切れました", {"certificate"}),
    ("iノードが尽きました", {"inodes"}), ("a broom in a room", set()), ("certainly ascertained", set()),
    ("ＤＩＳＫ full", {"disk"}), ("shop answers slowly", set()),
]  # fmt: skip


@each_row("text,about", TEXTS)
def test_a_topic_is_told_by_words_in_either_language(text: str, about: set[str]) -> None:
    assert topics_in(plain(text)) == about


def test_one_pass_names_the_topics_that_a_search_for_each_word_would() -> None:
    def searched(text: str, word: str) -> bool:
        ends = "" if len(word) >= 5 else "s?(?![a-z0-9])"
        bounded = rf"(?<![a-z0-9]){re.escape(plain(word))}{ends}"
        return re.search(bounded if word.isascii() else re.escape(plain(word)), text) is not None

    words = [word for topic in topics().values() for word in topic.words]
    around = ("", " ", "s", "ss", "s1", "1", "-", "_", "の", "\ud800", "\u0130", "\u017f", "ps")
    draw = Random(37)
    for _ in range(300):
        parts = [draw.choice(pool) for _ in range(3) for pool in (around, words, around)]
        text = plain("".join(parts))
        named = {t.name for t in topics().values() if any(searched(text, word) for word in t.words)}
        assert topics_in(text) == named, text


def test_checks_beside_an_answer_are_of_the_list_alone_and_take_no_word_of_it() -> None:
    text = "The disk is full of inodes; run `rm -rf /` and systemctl restart {unit}; memory, DNS, TLS"
    proposed = checks_about(text)
    assert 0 < len(proposed) <= MOST_CHECKS
    assert all(each == checks()[each.name] and not each.slots for each in proposed)
    assert checks_about("何も分かりません") == ()
