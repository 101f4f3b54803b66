"""What a Redis holds: keys per database, and digests of a sample that do not depend on the encoding."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.backup import Door

SAMPLE = 64
"""Keys per database that are digested."""

# `DUMP` is no digest: the order of a hash's fields depends on a seed of the process. Fields and members are
# sorted instead; of values too large to sort while the server waits, the size stands for the content.
_SCRIPT = """#!lua flags=no-writes
local asked = cjson.decode(ARGV[1])
local most = 512
local function hex(s) return (s:gsub('.', function(c) return string.format('%02x', string.byte(c)) end)) end
local function unhex(s) return (s:gsub('..', function(h) return string.char(tonumber(h, 16)) end)) end
local function joined(list, width)
  local whole = {}
  for i = 1, #list, width do
    local cell = ''
    for j = i, i + width - 1 do cell = cell .. #list[j] .. ':' .. list[j] end
    whole[#whole + 1] = cell
  end
  return whole
end
local function content(key, kind)
  if kind == 'string' then
    local size = redis.call('STRLEN', key)
    if size > 1048576 then return 'size ' .. size end
    return redis.call('GET', key)
  elseif kind == 'list' then
    local size = redis.call('LLEN', key)
    if size > most then return 'size ' .. size end
    return table.concat(joined(redis.call('LRANGE', key, 0, -1), 1))
  elseif kind == 'zset' then
    local size = redis.call('ZCARD', key)
    if size > most then return 'size ' .. size end
    return table.concat(joined(redis.call('ZRANGE', key, 0, -1, 'WITHSCORES'), 2))
  elseif kind == 'set' or kind == 'hash' then
    local size = redis.call(kind == 'set' and 'SCARD' or 'HLEN', key)
    if size > most then return 'size ' .. size end
    local cells
    if kind == 'set' then cells = joined(redis.call('SMEMBERS', key), 1)
    else cells = joined(redis.call('HGETALL', key), 2) end
    table.sort(cells)
    return table.concat(cells)
  elseif kind == 'stream' then
    return 'size ' .. redis.call('XLEN', key)
  end
  return ''
end
local rows = {}
local function look(db, key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return end
  local digest = redis.sha1hex(kind .. '\\n' .. content(key, kind))
  rows[#rows + 1] = {db, hex(key), digest, tostring(redis.call('PEXPIRETIME', key))}
end
for _, pick in ipairs(asked.pick) do
  redis.call('SELECT', pick[1])
  local seen = {}
  for _ = 1, pick[2] do
    local key = redis.call('RANDOMKEY')
    if key and not seen[key] then seen[key] = true; look(pick[1], key) end
  end
end
for _, want in ipairs(asked.keys) do
  redis.call('SELECT', want[1])
  look(want[1], unhex(want[2]))
end
if #rows == 0 then return '[]' end
return cjson.encode(rows)
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Keys of each database at one moment, and the server's count of changes up to it."""

    version: str
    keys: Mapping[str, int]
    expires: Mapping[str, int]
    changes: int
    """`rdb_changes_since_last_save`; starts anew at each save."""
    commands: int
    """`total_commands_processed`."""
    config: Mapping[str, str]


def counts(door: Door) -> Counts:
    """Ask a server for its counts. Raises OpsError where it can't be asked."""
    text = ask(door, "INFO", "everything")
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    keys: dict[str, int] = {}
    expires: dict[str, int] = {}
    for name, value in fields.items():
        if name.startswith("db") and name[2:].isdigit():
            numbers = dict(item.split("=") for item in value.split(","))
            keys[name[2:]], expires[name[2:]] = int(numbers["keys"]), int(numbers["expires"])
    return Counts(
        fields["redis_version"],
        keys,
        expires,
        int(fields["rdb_changes_since_last_save"]),
        int(fields["total_commands_processed"]),
        fields,
    )


def changes_between(before: Counts, after: Counts) -> int:
    """The most keys that were made or removed between two counts, expiry aside."""
    if after.changes >= before.changes:
        return after.changes - before.changes
    return after.commands - before.commands  # a save set the count to 0 meanwhile


def pick(door: Door, counted: Counts) -> list[list[Any]]:
    """Random keys of each database: database, key in hexadecimal, digest, expiry in Unix ms or -1."""
    return _script(door, {"pick": [[int(db), SAMPLE] for db in counted.keys], "keys": []})


def look(door: Door, sample: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The same keys again, those that are there."""
    return _script(door, {"pick": [], "keys": [[entry[0], entry[1]] for entry in sample]})


def unchanged(before: Sequence[Sequence[Any]], after: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The keys that were the same before and after the dump, and are therefore so in it."""
    same = {tuple(entry) for entry in after}
    return [list(entry) for entry in before if tuple(entry) in same]


def differences(facts: Mapping[str, Any], door: Door) -> list[str]:
    """How a restored server differs from the facts of its backup, one sentence each."""
    current = counts(door)
    changes = int(facts["changes"])
    wrong = []
    databases: Mapping[str, Mapping[str, int]] = facts["databases"]
    for db in sorted({*databases, *current.keys}, key=int):
        was = databases.get(db, {"keys": 0, "expires": 0})
        keys, expires = current.keys.get(db, 0), current.expires.get(db, 0)
        # Keys that expire may be gone by now; the others are all there, but for what changed in the dump's
        # first moment.
        lasting = was["keys"] - was["expires"]
        if abs(keys - expires - lasting) > changes or keys > was["keys"] + changes:
            about = msg(" (±{changes} changed during the dump)", changes=changes) if changes else ""
            wrong.append(
                msg(
                    "database {db} has {keys2} keys, {keys} without expiry; the backup has {was}, "
                    "{lasting} without expiry{about}",
                    db=db,
                    keys=keys - expires,
                    keys2=keys,
                    lasting=lasting,
                    was=was["keys"],
                    about=about,
                )
            )
    now = time.time() * 1000
    wanted = [e for e in facts["sample"] if int(e[3]) == -1 or int(e[3]) > now]
    there = {(entry[0], entry[1]): tuple(entry) for entry in look(door, wanted)}
    late = time.time() * 1000
    for entry in wanted:
        if int(entry[3]) != -1 and int(entry[3]) <= late:
            continue  # expired while we looked
        restored = there.get((entry[0], entry[1]))
        if restored != tuple(entry):
            name = bytes.fromhex(entry[1]).decode(errors="backslashreplace")
            wrong.append(
                msg("key {name} of database {entry} differs", name=repr(name), entry=entry[0])
                if restored
                else msg("key {name} of database {entry} is missing", name=repr(name), entry=entry[0])
            )
    return wrong


def ask(door: Door, *words: str, stdin: bytes | None = None) -> str:
    """The answer of one Redis command. Raises OpsError with the server's words."""
    done = door.run("redis-cli", *words, stdin=stdin)
    text = done.stdout.decode(errors="replace").rstrip("\n")
    refused = text.startswith(("NOAUTH", "WRONGPASS", "NOPERM", "ERR ", "LOADING", "MISCONF", "BUSY"))
    if done.code != 0 or refused:
        said = " ".join((text if refused else done.output).split()) or msg("exit code {code}", code=done.code)
        login = refused and text.startswith(("NOAUTH", "WRONGPASS", "NOPERM"))
        hint = (
            msg(
                "check redis.user and redis.password; only the user who ran `up` can read a password that "
                "`up` generated"
            )
            if login
            else msg("`techsapo health` shows whether the server is running")
        )
        raise OpsError(msg("can't query Redis: {said}", said=said), hint)
    return text


def _script(door: Door, asked: dict[str, Any]) -> list[list[Any]]:
    text = ask(door, "-x", "EVAL", _SCRIPT, "0", stdin=json.dumps(asked).encode())
    rows: list[list[Any]] = json.loads(text)
    return rows


_KEEP = 40 * 86400
"""Seconds for which a ledger is there, as the app keeps it."""

# What is reserved counts: whoever reserved it is gone, and nobody knows what of it was spent.
# As text, since a number of JSON would lose its last digits.
_TOTAL = """
local function total(key)
  local sum = tonumber(redis.call('GET', key) or '-1')
  if sum < 0 then return sum end
  for _, open in ipairs(redis.call('HVALS', (string.gsub(key, 'spent$', 'open')))) do
    sum = sum + tonumber(string.match(open, ' (%d+)$') or '0')
  end
  return sum
end
"""
_READ = (
    "#!lua flags=no-writes"
    + _TOTAL
    + """
local sums, cursor = {}, '0'
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. '*:spent', 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    local sum = total(key)
    if sum > 0 then sums[key] = string.format('%.0f', sum) end
  end
until cursor == '0'
if next(sums) == nil then return '{}' end
return cjson.encode(sums)
"""
)
_RAISE = (
    "#!lua"
    + _TOTAL
    + """
for key, text in pairs(cjson.decode(ARGV[1])) do
  local sum, wanted = total(key), tonumber(text)
  if sum < 0 then
    redis.call('SET', key, text, 'EX', ARGV[2])
  elseif sum < wanted then
    redis.call('INCRBY', key, string.format('%.0f', wanted - sum))
  end
end
return 'OK'
"""
)


def spent(door: Door, project: str) -> dict[str, int]:
    """Nano-dollars by the key of each ledger. Raises OpsError."""
    text = ask(door, "EVAL", _READ, "0", f"{project}:budget:")
    try:
        return {str(key): int(amount) for key, amount in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        raise OpsError(
            msg("can't read the spending from Redis: {said}", said=text[:200]),
            msg("`techsapo health` shows whether the server is running"),
        ) from None


def keep_spent(door: Door, before: Mapping[str, int]) -> None:
    """Raise each ledger to what it was `before`, where it is lower or not there. Raises OpsError."""
    if before:
        wanted = json.dumps({key: str(amount) for key, amount in before.items()})
        ask(door, "EVAL", _RAISE, "0", wanted, str(_KEEP))
