"""The team's own knowledge: what is found, what is left out, and what its index survives."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.knowledge as measured
from techsapo_ops.adapters.files import own_mode, reader_list
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents import knowledge as module
from techsapo_ops.incidents.knowledge import Knowledge, current, search
from techsapo_ops.incidents.own_files import LARGEST, LONGEST, LONGEST_NAME, parts_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with two pages."""
    put(
        tmp_path / "wiki/redis.md", "# Redis\n\n## メモリが足りない\n\nmaxmemory を増やす。容量を確認する。\n"
    )
    put(tmp_path / "wiki/db.md", "# DB\n\nIntro.\n\n## Too many connections\n\nKill the sleeping ones.\n")
    return tmp_path


def put(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def now(folder: Path, *patterns: str) -> Knowledge:
    return current(folder / ".techsapo" / "knowledge.sqlite", patterns or ("wiki/",), folder)


def found(folder: Path, query: str) -> list[tuple[str, str]]:
    """File and heading of what the stored index gives."""
    return [(page.file, page.heading) for page in search(folder / ".techsapo" / "knowledge.sqlite", query, 5)]


REDIS = ("wiki/redis.md", "Redis > メモリが足りない")
CONNECTIONS = ("wiki/db.md", "DB > Too many connections")


def test_a_part_is_cited_by_its_file_and_the_headings_above_it(folder: Path) -> None:
    now(folder)
    assert found(folder, "too many connections") == [CONNECTIONS]


@pytest.mark.parametrize("query", ["容量", "memory", "MAXMEMORY", "ｍａｘｍｅｍｏｒｙ", "メモリ", "ﾒﾓﾘ"])
def test_a_term_of_two_characters_a_part_of_a_word_and_other_widths_find_it(folder: Path, query: str) -> None:
    now(folder)
    assert found(folder, query) == [REDIS]


@pytest.mark.parametrize(
    "query", ["", "?!", "の", "the", '"', "a OR b) --", "NEAR(", "*", "\0", "\ud800", "x" * 10**6]
)
def test_no_query_is_taken_for_anything_but_words(folder: Path, query: str) -> None:
    now(folder)
    assert found(folder, query) == []


def test_what_has_nothing_to_do_with_a_question_is_not_given(folder: Path) -> None:
    now(folder)
    assert found(folder, "what is the capital of France") == []


def test_what_did_not_change_is_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert now(folder).changed
    monkeypatch.setattr(module.OwnFile, "text", lambda _: pytest.fail("it was read"))
    again = now(folder)
    assert not again.changed
    assert again.files == 2


def test_a_changed_file_is_found_as_it_is_now(folder: Path) -> None:
    now(folder)
    put(folder / "wiki/db.md", "# DB\n\n## Replication lag\n\nWait.\n")
    now(folder)
    assert found(folder, "replication lag") == [("wiki/db.md", "DB > Replication lag")]
    assert found(folder, "too many connections") == []


def test_a_file_that_was_only_touched_stays_as_it_is(folder: Path) -> None:
    now(folder)
    os.utime(folder / "wiki/db.md", (1, 1))
    now(folder)
    assert found(folder, "too many connections") == [CONNECTIONS]


def test_a_file_that_could_not_be_read_is_read_once_it_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> str:
        raise module.NotRead("Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(module.OwnFile, "text", refused)
        assert [each.reason for each in now(folder).unread] == ["Permission denied"] * 2
    for name in ("db.md", "redis.md"):
        (folder / "wiki" / name).chmod(0o640)
    assert now(folder).unread == ()
    assert found(folder, "too many connections") == [CONNECTIONS]


def test_a_removed_file_is_found_no_more(folder: Path) -> None:
    now(folder)
    (folder / "wiki/db.md").unlink()
    now(folder)
    assert found(folder, "too many connections") == []
    assert found(folder, "容量") == [REDIS]


def test_folders_files_and_patterns_may_be_named(folder: Path) -> None:
    put(folder / "one.txt", "Alpha bravo charlie")
    put(folder / "deep/a/b/c.md", "# Delta\n\nEcho foxtrot golf\n")
    knowledge = now(
        folder, "wiki/*.md", "one.txt", "deep", "missing/", "none/*.md", str(folder / "wiki/db.md")
    )
    assert knowledge.files == 4
    assert [each.source for each in knowledge.unread] == ["missing/", "none/*.md"]
    assert found(folder, "bravo") == [("one.txt", "")]
    assert found(folder, "foxtrot") == [("deep/a/b/c.md", "Delta")]


def test_hidden_files_and_folders_are_passed_over(folder: Path) -> None:
    put(folder / "wiki/.git/HEAD.md", "secret branch")
    put(folder / "wiki/.hidden.md", "secret branch")
    assert now(folder, "wiki/", "wiki/**/*.md").files == 2


def test_what_can_not_be_read_is_left_out_and_named_but_for_pictures(folder: Path) -> None:
    put(folder / "wiki/picture.png", b"\x89PNG\0")
    put(folder / "wiki/sjis.md", "容量".encode("shift_jis"))
    put(folder / "wiki/large.md", b"x" * (LARGEST + 1))
    os.mkfifo(folder / "wiki/pipe.md")
    reasons = {each.source: each.reason for each in now(folder).unread}
    assert reasons == {
        "wiki/sjis.md": "not UTF-8 text",
        "wiki/large.md": "larger than 1 MB",
        "wiki/pipe.md": "not a regular file",
    }


def test_a_link_that_leads_out_of_the_folder_is_not_followed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    put(outside / "shadow.md", "root hunter2")
    (folder / "wiki/link.md").symlink_to(outside / "shadow.md")
    (folder / "wiki/folder").symlink_to(outside)
    (folder / "wiki/circle.md").symlink_to(folder / "wiki/circle.md")
    (folder / "wiki/same.md").symlink_to(folder / "wiki/db.md")
    knowledge = now(folder, "wiki/", "wiki/*/*.md")
    assert {each.source for each in knowledge.unread} == {
        "wiki/link.md",
        "wiki/circle.md",
        "wiki/folder/shadow.md",
    }
    assert knowledge.search("hunter2", 5) == ()
    assert ("wiki/same.md", CONNECTIONS[1]) in found(folder, "too many connections")


def test_a_link_that_is_turned_after_the_look_leads_nowhere(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    put(outside / "shadow.md", "root hunter2")
    stamp = module.OwnFile.stamp

    def turned(file: module.OwnFile) -> tuple[int, int]:
        facts = stamp(file)
        if file.path.name == "db.md":
            file.path.unlink()
            file.path.symlink_to(outside / "shadow.md")
        return facts

    monkeypatch.setattr(module.OwnFile, "stamp", turned)
    assert now(folder).search("hunter2", 5) == ()


def test_too_many_files_and_too_much_text_are_left_out_in_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        put(folder / f"many/{number}.md", f"page{number} " * 10)
    now(folder, "many/")
    monkeypatch.setattr(module, "MOST_TEXT", 150)
    assert [each.source for each in now(folder, "many/").unread] == ["many/2.md", "many/3.md"]
    assert found(folder, "page3") == []
    monkeypatch.setattr(module, "MOST_FILES", 1)
    assert [each.source for each in now(folder, "many/").unread] == ["many/1.md", "many/2.md", "many/3.md"]
    monkeypatch.undo()
    assert now(folder, "many/").unread == ()
    assert found(folder, "page3") == [("many/3.md", "")]


def test_names_and_text_hold_nothing_that_acts_on_a_terminal(folder: Path) -> None:
    put(folder / "wiki" / "a\n\x1b[31mb.md", "# Title \x1b]0;x\x07\u202e\n\nZulu \x1b[2J yankee\n")
    page = now(folder).search("zulu yankee", 1)[0]
    assert not any(ord(char) < 32 and char != "\n" for char in f"{page.file}{page.heading}{page.text}")
    assert "\n" not in page.file


def test_a_damaged_index_is_made_again(folder: Path) -> None:
    now(folder)
    file = folder / ".techsapo" / "knowledge.sqlite"
    whole = file.read_bytes()
    for place in (0, 18, 100, 5_000, 11_111, len(whole) - 1):
        content = bytearray(whole)
        content[place] ^= 0xFF
        file.write_bytes(content)
        assert now(folder).changed
        assert found(folder, "too many connections") == [CONNECTIONS]


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", os.urandom(9000)])
def test_what_is_no_index_is_made_again_and_said_by_who_only_reads(folder: Path, content: bytes) -> None:
    now(folder)
    (folder / ".techsapo" / "knowledge.sqlite").write_bytes(content)
    with pytest.raises(OpsError, match="can't be read"):
        found(folder, "connections")
    now(folder)
    assert found(folder, "too many connections") == [CONNECTIONS]


def test_an_index_of_another_format_is_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now(folder)
    monkeypatch.setattr(module, "_FORMAT", 2)
    assert now(folder).changed


def test_nobody_has_written_an_index_yet(folder: Path) -> None:
    assert found(folder, "connections") == []


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Files end at 4 KB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_on_a_full_disk_the_search_goes_on_and_says_so(folder: Path, full_disk: None) -> None:
    knowledge = now(folder)
    assert knowledge.trouble is not None
    assert "knowledge" in knowledge.trouble.message
    assert [page.file for page in knowledge.search("too many connections", 5)] == ["wiki/db.md"]
    assert not (folder / ".techsapo" / "knowledge.sqlite").exists()


def test_on_a_full_disk_the_old_index_stays(folder: Path) -> None:
    now(folder)
    put(folder / "wiki/new.md", "November oscar")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        assert now(folder).trouble is not None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert found(folder, "too many connections") == [CONNECTIONS]
    now(folder)
    assert found(folder, "november oscar") == [("wiki/new.md", "")]


def test_another_users_link_in_place_of_the_index_is_not_written_through(
    folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    (folder / ".techsapo").mkdir()
    (folder / ".techsapo" / "knowledge.sqlite").symlink_to(target)
    (folder / ".techsapo" / "knowledge.sqlite").with_suffix(".new").symlink_to(target)
    now(folder)
    assert target.read_text() == "mine"
    assert found(folder, "too many connections") == [CONNECTIONS]


_REPEATED = """
import sys
from pathlib import Path
from techsapo_ops.incidents.knowledge import current, search
folder, name = Path(sys.argv[1]), sys.argv[2]
for n in range(5):
    (folder / "wiki" / f"{name}.md").write_text(f"# {name}\\n\\nround{n} of {name}\\n")
    own = current(folder / ".techsapo" / "knowledge.sqlite", ["wiki/"], folder)
    assert own.search(f"round{n} {name}", 1)[0].file == f"wiki/{name}.md", n
    search(folder / ".techsapo" / "knowledge.sqlite", "connections", 5)
"""


def test_two_processes_at_once_leave_an_index_with_what_both_have_seen(folder: Path) -> None:
    now(folder)
    both = [
        subprocess.Popen([sys.executable, "-c", _REPEATED, str(folder), name], stderr=subprocess.PIPE)
        for name in ("hotel", "india")
    ]
    for process in both:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
    now(folder)
    assert found(folder, "round4 hotel")[0] == ("wiki/hotel.md", "hotel")
    assert found(folder, "round4 india")[0] == ("wiki/india.md", "india")
    assert found(folder, "too many connections") == [CONNECTIONS]


def test_the_index_is_its_owners_and_its_readers_alone(folder: Path) -> None:
    file = folder / ".techsapo" / "knowledge.sqlite"
    now(folder)
    assert file.stat().st_mode & 0o777 == 0o600
    put(folder / "wiki/new.md", "november")
    current(file, ["wiki/"], folder, reader=10001)
    assert os.getxattr(file, "system.posix_acl_access") == reader_list(0o600, [10001])
    assert own_mode(file) == 0o600


def test_a_python_without_trigrams_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TABLES", module.TABLES.replace("'trigram'", "'hexagram'"))
    with pytest.raises(OpsError, match="can't search text: no such tokenizer: hexagram") as error:
        now(folder)
    assert "3.34" in error.value.hint


def test_headings_in_code_and_front_matter_are_none() -> None:
    text = "---\ntitle: x\n---\nBefore\n\nUnder\n=====\n\n```sh\n# no heading\n```\n### Third ###\ntext\n"
    assert [(page.heading, page.text) for page in parts_of("a.md", text)] == [
        ("", "Before"),
        ("Under", "```sh\n# no heading\n```"),
        ("Under > Third", "text"),
    ]


def test_a_long_part_is_cut_between_lines_under_the_same_heading() -> None:
    lines = [f"line {number} " + "x" * 80 for number in range(100)]
    pages = list(parts_of("a.md", "# H\n" + "\n".join(lines) + "\n" + "y" * 4 * LONGEST))
    assert {page.heading for page in pages} == {"H"}
    assert max(len(page.text) for page in pages) <= LONGEST
    assert (
        "\n".join(page.text for page in pages[:6]).split("\n") == lines[: len(pages[0].text.split("\n")) * 6]
    )


@pytest.mark.parametrize(
    "line", ["#" * 10**6, "# " + " " * 10**6, "# " + "# " * 500_000, "=" * 10**6, "`" * 10**6, "- " * 500_000]
)
def test_a_hostile_line_takes_no_time(line: str) -> None:
    for page in parts_of("a.md", f"{line}\n{line}\nend"):
        assert len(page.heading) <= LONGEST_NAME


def test_questions_find_their_answers(tmp_path: Path) -> None:
    result = measured.recall(measured.knowledge(tmp_path, measured.OWN))
    assert len([case for case in measured.cases() if case.file]) >= 40
    assert result.among >= 0.95, result.missed
    assert result.first >= 0.85
    assert result.needless <= 1.0


def test_sqlite_is_opened_for_reading_alone(folder: Path) -> None:
    now(folder)
    file = folder / ".techsapo" / "knowledge.sqlite"
    file.chmod(0o400)
    file.parent.chmod(0o500)
    try:
        assert found(folder, "too many connections") == [CONNECTIONS]
        assert {path.name for path in file.parent.iterdir()} >= {"knowledge.sqlite"}
        assert not any(path.name.endswith(("-wal", "-journal", "-shm")) for path in file.parent.iterdir())
    finally:
        file.parent.chmod(0o700)
    assert sqlite3.sqlite_version_info >= (3, 34)
