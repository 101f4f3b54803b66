"""What a piece of SQL does, by sqlglot's tree of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from techsapo_ops.catalogue.commands import reading
from techsapo_ops.wallbounce.classifier.judgement import READS, UNKNOWN, Judgement, hazardous

if TYPE_CHECKING:
    from sqlglot import exp

LONGEST = 4000
_DEEPEST = 60
_HIDES = re.compile(r"/\*M?!|/\*\+|\\|\x00")
"""Comments that are executed, hints, and a client's own commands."""
_UNCERTAIN = re.compile(r"#|--(?!\s)|\$\w*\$|/\*")
"""What is a comment, or a quote, for one server and code for another."""
_META = re.compile(
    r"\\(?:(?:d[a-zA-Z]*|l|z|sf|sv)[+S]*(?:\s+[\w.*?\"]+)?|conninfo|timing(?:\s+on)?|x(?:\s+on)?|q|encoding)\s*;?\Z"
)
_DOT = re.compile(
    r"\.(?:tables?|schema|ind(?:ex|ices|exes)|databases|fullschema|dbinfo|headers?|mode|stats|show|width)\b"
    r"[\w .%*]*\Z"
)
_SHOW = re.compile(r"(?i)(?:show|desc|describe)\s+[\w\s.,`'\"%@=*-]+\Z")
_USE = re.compile(r"(?i)use\s+[\w`]+\Z")
_EXPLAIN = re.compile(
    r"(?i)(?:explain|describe|desc)\s+(?P<runs>analyze\s+)?(?:(?:verbose|extended|partitions|format\s*=\s*\w+)\s+)*"
    r"(?:\((?P<options>[\w\s,]*)\)\s*)?(?=select\b|with\b|\(|insert\b|update\b|delete\b)"
)
_TABLES = {"truncate": "delete_rows", "drop": "drop_table"}
_DROPS = re.compile(
    r"(?i)\bdrop\s+(?:column|partition|constraint|key|index|primary|foreign)\b|\btruncate\s+partition\b"
)
_SPOKEN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)reset\s+(?:master|binary)|purge\s+(?:binary|master)"), "reset_binlog"),
    (re.compile(r"(?i)drop\s"), "drop_table"),
    (re.compile(r"(?i)truncate\s"), "delete_rows"),
    (re.compile(r"(?i)delete\s"), "delete_rows"),
    (re.compile(r"(?i)kill\s"), "end_query"),
    (re.compile(r"(?i)shutdown\b|stop\s+(?:slave|replica|group_replication)\b"), "stop_service"),
    (
        re.compile(
            r"(?i)grant\s[^;]*(?:\ball\b|\bsuper|grant\s+option|\bto\s+public\b|'%')|alter\s+(?:user|role)\s[^;]*(?:\bsuperuser\b|identified\s+by\s+'')"
        ),
        "weak_login",
    ),
    (
        re.compile(
            r"(?i)set\s+(?:global\s+)?(?:general_log|log_bin|sql_log_bin|require_secure_transport|local_infile)\b"
        ),
        "disable_protection",
    ),
)
_RUNS = re.compile(r"(?i)\bcopy\b[^;]*\bprogram\b|\bsys_(?:exec|eval)\b|\bxp_cmdshell\b|\bload_extension\b")
_ENDS = re.compile(r"(?i)\bpg_(?:terminate|cancel)_backend\s*\(|\bpg_reload_conf\b|\bpg_promote\b")


def judge_sql(text: str, dialect: str | None = None) -> Judgement:
    """What `text` does. Without a dialect it must be harmless to each server that may be meant."""
    text = text.strip()
    if not text or len(text) > LONGEST or text.count("(") > _DEEPEST:
        return UNKNOWN
    if dialect == "postgres" and _META.match(text):
        return READS
    if dialect == "sqlite" and _DOT.match(text):
        return READS
    text = re.sub(r"\\[gG]\s*\Z", ";", text)
    if dialect is not None:
        judged = _judge(text, dialect)
    else:
        each = [_judge(text, d) for d in sorted(reading().sql_dialects)]
        judged = Judgement.of(each, reads=False)
        certain = not _UNCERTAIN.search(text) and not judged.hazards
        judged = Judgement(certain and any(j.reads for j in each), judged.hazards)
    return judged.unknown() if _HIDES.search(text) else judged


def _judge(text: str, dialect: str) -> Judgement:
    from sqlglot import tokenize  # with its parser half a second on a slow machine: for those who ask of SQL
    from sqlglot.errors import SqlglotError

    try:
        tokens = tokenize(text, read=dialect)
    except (SqlglotError, RecursionError):
        return Judgement.of(_spoken(text), reads=False)
    begin, statements = 0, []
    for token in tokens:
        if token.token_type.name == "SEMICOLON":
            statements.append(text[begin : token.start])
            begin = token.end + 1
    statements.append(text[begin:])
    said = [s.strip() for s in statements if s.strip()]
    return Judgement.of((_statement(s, dialect) for s in said), reads=bool(said))


def _statement(text: str, dialect: str) -> Judgement:
    if _SHOW.match(text) or _USE.match(text):
        return READS
    explained = _EXPLAIN.match(text)
    if explained:
        inner = _parsed(text[explained.end() :], dialect)
        runs = explained["runs"] or "analyze" in (explained["options"] or "").casefold()
        return inner if runs else Judgement(inner.reads or _plans(text[explained.end() :], dialect))
    return _parsed(text, dialect)


def _plans(text: str, dialect: str) -> bool:
    """Whether a statement that is only planned could not do more than be planned."""
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError

    try:
        trees = parse(text, read=dialect)
    except (SqlglotError, RecursionError, ValueError):
        return False
    written = exp.Delete | exp.Update
    return (
        len(trees) == 1
        and isinstance(trees[0], written)
        and _reads(trees[0], frozenset({"Delete", "Update"}))
    )


def _parsed(text: str, dialect: str) -> Judgement:
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError

    log = logging.getLogger("sqlglot")
    level, log.level = log.level, logging.CRITICAL  # it warns of what it does not know; we call that unknown
    try:
        trees = [t for t in parse(text, read=dialect) if t is not None]
    except (SqlglotError, RecursionError, ValueError):
        return Judgement.of(_spoken(text), reads=False)
    finally:
        log.level = level
    hazards = list(_spoken(text))
    for tree in trees:
        hazards += _tree_hazards(tree, text)
    reads = bool(trees) and all(isinstance(t, exp.Query) and _reads(t) for t in trees)
    return Judgement.of(hazards, reads=reads)


def _reads(tree: exp.Expr, also: frozenset[str] = frozenset()) -> bool:
    from sqlglot import exp

    allowed = reading()
    for node in tree.walk():
        name = type(node).__name__
        if isinstance(node, exp.Dot) and node.find(exp.Func) is not None:
            return False  # a function of a schema: anybody's, whatever its name
        if isinstance(node, exp.Anonymous):
            if not isinstance(node.this, str) or node.this.casefold() not in allowed.sql_functions:
                return False
        elif isinstance(node, exp.Func) and name not in allowed.sql_nodes:
            if name.casefold() not in allowed.sql_functions:
                return False
        elif name not in allowed.sql_nodes and name not in also:
            return False
    return True


def _tree_hazards(tree: exp.Expr, text: str) -> Iterator[Judgement]:
    from sqlglot import exp

    for node in tree.walk():
        if isinstance(node, exp.Delete | exp.TruncateTable):
            yield hazardous("delete_rows", text)
        elif isinstance(node, exp.Update) and not _narrowed(node):
            yield hazardous("update_rows", text)
        elif isinstance(node, exp.Kill):
            yield hazardous("end_query", text)
        elif isinstance(node, exp.Drop):
            yield hazardous("drop_column" if isinstance(tree, exp.Alter) else "drop_table", text)
    if isinstance(tree, exp.Alter) and _DROPS.search(text):
        yield hazardous("drop_column", text)


def _narrowed(update: exp.Update) -> bool:
    """Whether its WHERE looks at a column: 1=1 is none."""
    from sqlglot import exp

    where = update.args.get("where")
    return where is not None and where.find(exp.Column) is not None


def _spoken(text: str) -> Iterator[Judgement]:
    """Dangers by their first words, also in what the parser takes as one command or not at all."""
    for pattern, kind in _SPOKEN:
        if pattern.match(text):
            yield hazardous(kind, text)
            break
    if _ENDS.search(text):
        yield hazardous("end_query", text)
    if _RUNS.search(text):
        yield hazardous("reverse_shell", text)
    if re.match(r"(?i)update\s", text) and not re.search(r"(?i)\bwhere\b", text):
        yield hazardous("update_rows", text)
    if re.match(r"(?i)alter\s+table\s", text) and _DROPS.search(text):
        yield hazardous("drop_column", text)
