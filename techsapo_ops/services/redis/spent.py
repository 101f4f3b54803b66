"""What the budgets in Redis say was spent, and the same again where a restore makes them say less."""

from __future__ import annotations

import json
from collections.abc import Mapping

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.redis.contents import ask
from techsapo_ops.stack.backup import Door

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
local found, cursor = {}, '0'
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. '*:spent', 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    local sum = total(key)
    if sum > 0 then found[key] = string.format('%.0f', sum) end
  end
until cursor == '0'
if next(found) == nil then return '{}' end
return cjson.encode(found)
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
            msg("Redis can't be asked what was spent: {said}", said=text[:200]),
            msg("`techsapo health` shows whether it runs"),
        ) from None


def keep_spent(door: Door, before: Mapping[str, int]) -> None:
    """Raise each ledger to what it was `before`, where it is lower or not there. Raises OpsError."""
    if before:
        wanted = json.dumps({key: str(amount) for key, amount in before.items()})
        ask(door, "EVAL", _RAISE, "0", wanted, str(_KEEP))
