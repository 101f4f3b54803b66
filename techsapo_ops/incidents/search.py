"""What of a text can be found, and the parts that answer a question best.

Latin words are found by trigrams, so that `memory` finds `maxmemory`; Japanese by pairs of characters, of
which `容量` is one. Both are ranked by BM25, as SQLite's FTS5 has it.
"""

from __future__ import annotations

import math
import re
import sqlite3
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

from techsapo_ops.incidents.material import Page

TABLES = """
CREATE TABLE pages (id INTEGER PRIMARY KEY, file TEXT, heading TEXT, text TEXT);
CREATE INDEX pages_file ON pages (file);
CREATE VIRTUAL TABLE words USING fts5 (heading, text, content = '', tokenize = 'trigram');
CREATE VIRTUAL TABLE pairs USING fts5 (heading, text, content = '', tokenize = 'unicode61');
"""
LONGEST_QUERY = 2_000
"""Characters of a question, at its beginning and at its end, that are looked for."""
MOST_TERMS = 48
FEW = 100
MOST_ASKED = 12
"""Terms that a question counts as, the rarest; a log has many more."""
COVERED = 0.3
"""Share of a question's terms, each weighed by how rare it is, that a part must hold to be given."""
_RUN = re.compile("[\u3005\u3040-\u30ff\u3400-\u9fff]+")
_GRAMMAR = re.compile("[\u3040-\u309f].")
"""A pair that says little: it begins with hiragana, as after a particle."""
_WORD = re.compile(r"[a-z0-9]+")
_SHORT = re.compile(r"\b[a-z0-9]{1,2}\b", re.ASCII)
"""Words that have no trigram, such as db."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ENDING = re.compile(r"(?<=[a-z]{4})(?:ing|ed|es|s)$")
_STOP = re.compile(
    "an?|and|are|as|at|be|but|by|can|do|does|for|from|has|have|how|i|if|in|into|is|its?|me|my|of|on|or|our|"
    "no|not|should|that|the|there|this|to|up|was|we|what|when|where|which|who|why|will|with|you|your"
)


def put(connection: sqlite3.Connection, page: Page) -> None:
    """Let `page` be found."""
    row = (page.file, page.heading, page.text)
    number = connection.execute("INSERT INTO pages (file, heading, text) VALUES (?, ?, ?)", row).lastrowid
    for table, *texts in _indexed(page):
        connection.execute(f"INSERT INTO {table} (rowid, heading, text) VALUES (?, ?, ?)", (number, *texts))  # noqa: S608


def remove(connection: sqlite3.Connection, file: str) -> None:
    """Let nothing of `file` be found."""
    rows = connection.execute("SELECT id, file, heading, text FROM pages WHERE file = ?", (file,)).fetchall()
    for number, *row in rows:
        for table, *texts in _indexed(Page("knowledge", *row)):  # FTS5 wants to know what it was
            given = f"INSERT INTO {table} ({table}, rowid, heading, text) VALUES ('delete', ?, ?, ?)"  # noqa: S608
            connection.execute(given, (number, *texts))
    connection.execute("DELETE FROM pages WHERE file = ?", (file,))


def best(connection: sqlite3.Connection, query: str, limit: int) -> tuple[Page, ...]:
    """The parts that answer `query` best, at most `limit`; none where nothing fits. Raises sqlite3.Error."""
    # In a handful of pages a term that none of them holds would outweigh all others.
    count = max(connection.execute("SELECT count(*) FROM pages").fetchone()[0], FEW)
    score, covered = defaultdict[int, float](float), defaultdict[int, float](float)
    asked: list[float] = []
    for table, term in terms_of(query):
        rows = connection.execute(
            f"SELECT rowid, bm25({table}, 3.0, 1.0) FROM {table} WHERE {table} MATCH ?",  # noqa: S608
            (f'"{term}"',),
        ).fetchall()
        rareness = math.log(
            1 + (count - len(rows) + 0.5) / (len(rows) + 0.5)
        )  # BM25's, of a term in a corpus
        asked.append(rareness)
        for number, worth in rows:
            score[number] -= worth  # SQLite's is less for what is better
            covered[number] += rareness
    enough = COVERED * sum(sorted(asked)[-MOST_ASKED:])
    numbers = sorted((n for n in score if covered[n] >= enough), key=lambda n: (-score[n], n))
    wanted = "SELECT file, heading, text FROM pages WHERE id = ?"
    return tuple(Page("knowledge", *connection.execute(wanted, (n,)).fetchone()) for n in numbers[:limit])


def terms_of(query: str) -> list[tuple[str, str]]:
    """The terms of a question, each once, with the table that knows it; at most MOST_TERMS.

    Latin words lose their endings, and one like `RedisMemoryHigh` is taken apart too.
    """
    if len(query) > 2 * LONGEST_QUERY:
        query = f"{query[:LONGEST_QUERY]}\n{query[-LONGEST_QUERY:]}"
    plain = unicodedata.normalize("NFKC", query)
    terms: dict[tuple[str, str], None] = {}
    for word in _WORD.findall(f"{plain} {_CAMEL.sub(' ', plain)}".casefold()):
        if not _STOP.fullmatch(word):
            terms["words" if len(word) > 2 else "pairs", _ENDING.sub("", word)] = None
    for run in _RUN.findall(plain):
        for pair in _pairs(run):
            if not _GRAMMAR.fullmatch(pair):
                terms["pairs", pair] = None
    return list(terms)[:MOST_TERMS]


def _indexed(page: Page) -> Iterator[tuple[str, str, str]]:
    """A table, and what of a part stands in it. The name of its file counts as a heading."""
    heading, text = (
        unicodedata.normalize("NFKC", each).casefold() for each in (f"{page.file} {page.heading}", page.text)
    )
    yield "words", heading, text
    yield "pairs", _paired(heading), _paired(text)


def _paired(text: str) -> str:
    return " ".join([*(pair for run in _RUN.findall(text) for pair in _pairs(run)), *_SHORT.findall(text)])


def _pairs(run: str) -> list[str]:
    return [run[n : n + 2] for n in range(len(run) - 1)] or [run]
