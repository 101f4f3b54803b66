"""A line of an answer, as somebody would paste it: shell or SQL, behind a prompt or not."""

from __future__ import annotations

import re
from functools import lru_cache

from techsapo_ops.wallbounce.classifier.judgement import UNKNOWN, Judgement
from techsapo_ops.wallbounce.classifier.shell import judge_shell
from techsapo_ops.wallbounce.classifier.sql import judge_sql
from techsapo_ops.wallbounce.similarity import fold

LONGEST = 4000
"""Characters of a command that is looked at; a longer one is unknown."""

_PROMPT = re.compile(r"(?:\[[\w.@:~/ -]{1,60}\]|[\w.-]{1,30}@[\w.-]{1,60}:[\w.~/-]{0,60})?[$#%][ \t]+(?=\S)")
_SQL_PROMPT = re.compile(
    r"(?:mysql|MariaDB \[[^\]\n]{0,40}\]|[\w.-]{1,30}=[#>]|sqlite|SQL)> ?(?=\S)|\w{1,30}=[#>] (?=\S)"
)
_SQL = re.compile(
    r"(?is)(?:select\s*[\s(*@'\"]|with\s+(?:recursive\s+)?\w+\s*(?:\([^)]*\)\s*)?as\s|show\s|describe\s|desc\s|explain\s"
    r"|(?:update\s+(?:low_priority\s+|ignore\s+|only\s+)*[\w.`\"]+\s+(?:as\s+\w+\s+|\w+\s+)?set\s)|delete\s+from\s|drop\s+\w+\s|truncate\s+(?:table\s+)?[\w.`\"]+\s*;?\s*\Z"
    r"|truncate\s+table\s|alter\s+\w+\s|create\s+(?!-)\w+\s|grant\s|revoke\s|insert\s+(?:into|ignore)\s|replace\s+into\s|kill\s+(?:query|connection|hard|soft|\d+\s*;)|purge\s+\w+\s"
    r"|reset\s+(?:master|slave|replica|query)|flush\s+\w+|call\s+\w+|set\s+(?:global|session|password|@)|lock\s+tables?\s|load\s+data|copy\s+[\w(]|vacuum\b|analyze\s+\w|optimize\s+table"
    r"|rename\s+table\s|begin\s*;|start\s+(?:transaction|slave|replica)|stop\s+(?:slave|replica)|change\s+(?:master|replication))"
)


@lru_cache(maxsize=2048)
def classify(text: str) -> Judgement:
    """What `text` does when somebody runs it: all of its commands. Never raises; unknown is never safe."""
    if len(text) > LONGEST or not text.strip():
        return UNKNOWN
    folded = fold(text)
    judged = _line(text)
    if folded == text:
        return judged
    if len(folded) > LONGEST:
        return judged.unknown()
    return Judgement.of([judged, _line(folded)])


def _line(text: str) -> Judgement:
    stripped = text.strip()
    client = _SQL_PROMPT.match(stripped)
    if client:
        return judge_sql(stripped[client.end() :])
    prompt = _PROMPT.match(stripped)
    if prompt:
        stripped = stripped[prompt.end() :]
    if _SQL.match(stripped):
        shell = judge_shell(stripped)
        sql = judge_sql(stripped)
        return Judgement(sql.reads and not shell.hazards, Judgement.of([sql, shell]).hazards)
    judged = judge_shell(stripped)
    return judged if judged.commands else judged.unknown()  # such as a comment alone
