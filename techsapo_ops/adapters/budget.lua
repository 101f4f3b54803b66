-- Reserve, settle and read money in whole nano-dollars, atomically. Numbers are exact up to 2^53.
-- A ledger (budget of one period) is two keys: `spent`, a number, and `open`, a hash of reservation id to
-- "expiry amount". Its expiry ends a reservation whose owner died.
local now = tonumber(redis.call('TIME')[1])

local function held(open_key)
  local sum = 0
  local all = redis.call('HGETALL', open_key)
  for i = 1, #all, 2 do
    local expiry, amount = string.match(all[i + 1], '^(%d+) (%d+)$')
    if tonumber(expiry) <= now then
      redis.call('HDEL', open_key, all[i])
    else
      sum = sum + tonumber(amount)
    end
  end
  return sum
end

local action, id, amount, life, keep = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local ledgers = #KEYS / 2

if action == 'reserve' then
  for n = 1, ledgers do
    if redis.call('EXISTS', KEYS[2 * n - 1]) == 0 then return {'unknown', n, 0, 0} end
  end
  for n = 1, ledgers do
    local limit = tonumber(ARGV[5 + n])
    local spent, open = tonumber(redis.call('GET', KEYS[2 * n - 1])), held(KEYS[2 * n])
    if spent + open + amount > limit then return {'refused', n, spent, open} end
  end
  for n = 1, ledgers do
    local before = redis.call('HGET', KEYS[2 * n], id)
    local had = before and tonumber(string.match(before, ' (%d+)$')) or 0
    redis.call('HSET', KEYS[2 * n], id, string.format('%d %d', now + life, had + amount))
    redis.call('EXPIRE', KEYS[2 * n], keep)
  end
elseif action == 'settle' then
  for n = 1, ledgers do
    if redis.call('EXISTS', KEYS[2 * n - 1]) == 0 then return {'unknown', n, 0, 0} end
  end
  for n = 1, ledgers do
    redis.call('HDEL', KEYS[2 * n], id)
    redis.call('INCRBY', KEYS[2 * n - 1], amount)
  end
elseif action == 'seed' then
  for n = 1, ledgers do
    redis.call('SET', KEYS[2 * n - 1], amount, 'NX', 'EX', keep)
  end
end

local told = {'ok', 0}
for n = 1, ledgers do
  table.insert(told, tonumber(redis.call('GET', KEYS[2 * n - 1]) or '-1'))
  table.insert(told, held(KEYS[2 * n]))
end
return told
