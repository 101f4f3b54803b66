-- Reserve, settle and read money in whole nano-dollars, atomically. Numbers are exact up to 2^53.
-- A ledger (budget of one period) is two keys: `spent`, a number, and `open`, a hash of reservation id to
-- "expiry amount". A reservation whose owner died is booked whole at its expiry: nobody knows what was spent.
-- `hold` and `close` are `reserve` and `settle` for a Redis that may be another one by now: each comes to the same
-- when it is carried out twice. One key more, the last, remembers that a reservation was closed.
-- Answers {status, ledger, {spent, held, ...}, {ledger, id, expiry, amount, ...}}; the last are those booked so.
local now = tonumber(redis.call('TIME')[1])
local lost = {}

local function spent(n)
  return tonumber(redis.call('GET', KEYS[2 * n - 1]) or '-1')
end

local function held(n)
  local sum = 0
  local all = redis.call('HGETALL', KEYS[2 * n])
  for i = 1, #all, 2 do
    local expiry, amount = string.match(all[i + 1], '^(%d+) (%d+)$')
    if tonumber(expiry) <= now and spent(n) >= 0 then
      redis.call('HDEL', KEYS[2 * n], all[i])
      redis.call('INCRBY', KEYS[2 * n - 1], amount)
      for _, told in ipairs({n, all[i], tonumber(expiry), tonumber(amount)}) do table.insert(lost, told) end
    else
      sum = sum + tonumber(amount)
    end
  end
  return sum
end

local action, id, amount, life, keep = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local ledgers = math.floor(#KEYS / 2)

local function had(n)
  local before = redis.call('HGET', KEYS[2 * n], id)
  return before and tonumber(string.match(before, ' (%d+)$')) or 0
end

if action ~= 'read' and action ~= 'raise' and action ~= 'seed' then
  for n = 1, ledgers do
    if spent(n) < 0 then return {'unknown', n, {}, {}} end
  end
end
if action == 'reserve' then
  for n = 1, ledgers do
    local open = held(n)
    if spent(n) + open + amount > tonumber(ARGV[5 + n]) then return {'refused', n, {spent(n), open}, lost} end
  end
  for n = 1, ledgers do
    redis.call('HSET', KEYS[2 * n], id, string.format('%d %d', now + life, had(n) + amount))
    redis.call('EXPIRE', KEYS[2 * n], keep)
  end
elseif action == 'hold' then
  for n = 1, ledgers do
    local open = held(n)
    if spent(n) + open + math.max(0, amount - had(n)) > tonumber(ARGV[5 + n]) then
      return {'refused', n, {spent(n), open}, lost}
    end
  end
  for n = 1, ledgers do
    redis.call('HSET', KEYS[2 * n], id, string.format('%d %d', now + life, math.max(had(n), amount)))
    redis.call('EXPIRE', KEYS[2 * n], keep)
  end
elseif action == 'close' then
  if redis.call('SET', KEYS[#KEYS], 1, 'NX', 'EX', life) then
    for n = 1, ledgers do
      redis.call('HDEL', KEYS[2 * n], id)
      redis.call('INCRBY', KEYS[2 * n - 1], amount)
    end
  end
elseif action == 'settle' then
  for n = 1, ledgers do
    redis.call('HDEL', KEYS[2 * n], id)
    redis.call('INCRBY', KEYS[2 * n - 1], amount)
  end
elseif action == 'adopt' then
  -- Who goes on with a request goes on with its money; the index answered is what is reserved, and 1.
  local least = nil
  for n = 1, ledgers do
    held(n)
    local before = redis.call('HGET', KEYS[2 * n], id)
    local had = before and tonumber(string.match(before, ' (%d+)$'))
    if not had then return {'none', 0, {}, lost} end
    least = math.min(least or had, had)
  end
  for n = 1, ledgers do
    local had = tonumber(string.match(redis.call('HGET', KEYS[2 * n], id), ' (%d+)$'))
    redis.call('HSET', KEYS[2 * n], id, string.format('%d %d', now + life, had))
  end
  return {'ok', least + 1, {}, lost}
elseif action == 'raise' then
  for n = 1, ledgers do
    local known = spent(n)
    if known >= 0 and known < amount then redis.call('INCRBY', KEYS[2 * n - 1], amount - known) end
  end
elseif action == 'seed' then
  for n = 1, ledgers do
    redis.call('SET', KEYS[2 * n - 1], amount, 'NX', 'EX', keep)
  end
end

local balances = {}
for n = 1, ledgers do
  local open = held(n)
  table.insert(balances, spent(n))
  table.insert(balances, open)
end
return {'ok', 0, balances, lost}
