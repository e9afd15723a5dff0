-- The arithmetic of limiter.py on Redis, in its time, one step at a time.
--
-- KEYS: log and state of the total, log and state of the tenant; one hash tag.
-- ARGV: operation, id, estimate, window in us, burst in us, requests and tokens of the total, of the tenant,
--       and to correct: requests and tokens that the call came to.
-- A log is a sorted set of "requests:tokens:id" by the time of the grant; of a corrected grant the id ends in "!".
-- A state is the sums of its log, and the times up to which the pace is used.
-- Numbers are written in full: Lua shortens large ones.
-- Returns {1, 0, 0}, or {0, 1 for the tenant's limit or 2 for the total, us until there is room}.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local operation, id, tokens = ARGV[1], ARGV[2], tonumber(ARGV[3])
local span, burst = tonumber(ARGV[4]), tonumber(ARGV[5])

local function whole(number)
  return string.format('%.0f', number)
end

local function pace(amount, limit)
  return math.floor(amount * span / math.max(limit, 1))
end

local function open(log, state, requests_limit, tokens_limit)
  local one = {log = log, state = state, requests_limit = requests_limit, tokens_limit = tokens_limit}
  local kept = redis.call('HMGET', state, 'requests', 'tokens', 'requests_due', 'tokens_due')
  one.requests, one.tokens = tonumber(kept[1] or 0), tonumber(kept[2] or 0)
  one.requests_due, one.tokens_due = tonumber(kept[3] or 0), tonumber(kept[4] or 0)
  local before = '(' .. whole(now - span)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', log, '-inf', before)) do
    local requests, taken = member:match('^(%d+):(%d+):')
    one.requests, one.tokens = one.requests - tonumber(requests), one.tokens - tonumber(taken)
  end
  redis.call('ZREMRANGEBYSCORE', log, '-inf', before)
  return one
end

local function wait(one)
  local longest = math.max(math.max(one.requests_due, one.tokens_due) - burst - now, 0)
  local requests_over, tokens_over = one.requests + 1 - one.requests_limit, one.tokens + tokens - one.tokens_limit
  local from = 0
  while requests_over > 0 or tokens_over > 0 do
    local page = redis.call('ZRANGE', one.log, from, from + 63, 'WITHSCORES')
    if #page == 0 then return span end
    for at = 1, #page, 2 do
      if requests_over > 0 or tokens_over > 0 then
        local requests, taken = page[at]:match('^(%d+):(%d+):')
        requests_over, tokens_over = requests_over - tonumber(requests), tokens_over - tonumber(taken)
        longest = math.max(longest, tonumber(page[at + 1]) + span + 1 - now)
      end
    end
    from = from + 64
  end
  return longest
end

local function add(one, name, requests, taken)
  redis.call('ZADD', one.log, whole(now), whole(requests) .. ':' .. whole(taken) .. ':' .. name)
  one.requests, one.tokens = one.requests + requests, one.tokens + taken
  one.requests_due = math.max(one.requests_due, now) + pace(requests, one.requests_limit)
  one.tokens_due = math.max(one.tokens_due, now) + pace(taken, one.tokens_limit)
end

local function correct(one, granted, at, requests, taken)
  local stays = math.min(taken, tokens)
  redis.call('ZREM', one.log, granted)
  redis.call('ZADD', one.log, at, whole(requests) .. ':' .. whole(stays) .. ':' .. id .. '!')
  one.requests, one.tokens = one.requests - (1 - requests), one.tokens - (tokens - stays)
  one.requests_due = one.requests_due - pace(1 - requests, one.requests_limit)
  one.tokens_due = one.tokens_due - pace(tokens - stays, one.tokens_limit)
  if taken > tokens then add(one, id .. '!+', 0, taken - tokens) end
end

local function close(one)
  redis.call('HSET', one.state, 'requests', whole(one.requests), 'tokens', whole(one.tokens),
    'requests_due', whole(one.requests_due), 'tokens_due', whole(one.tokens_due))
  local gone_at = whole(math.floor((now + 2 * span) / 1000))
  redis.call('PEXPIREAT', one.state, gone_at)
  redis.call('PEXPIREAT', one.log, gone_at)
end

local total = open(KEYS[1], KEYS[2], tonumber(ARGV[6]), tonumber(ARGV[7]))
local tenant = open(KEYS[3], KEYS[4], tonumber(ARGV[8]), tonumber(ARGV[9]))
local granted = '1:' .. whole(tokens) .. ':' .. id
local at = redis.call('ZSCORE', tenant.log, granted)
local answer = {1, 0, 0}

if operation == 'correct' then
  if at then
    correct(total, granted, at, tonumber(ARGV[10]), tonumber(ARGV[11]))
    correct(tenant, granted, at, tonumber(ARGV[10]), tonumber(ARGV[11]))
  end
elseif at then
  -- Asked again, as the answer was lost: the call starts now.
  redis.call('ZADD', total.log, whole(now), granted)
  redis.call('ZADD', tenant.log, whole(now), granted)
else
  local tenant_wait, total_wait = wait(tenant), wait(total)
  if tenant_wait > 0 or total_wait > 0 then
    answer = {0, tenant_wait > 0 and 1 or 2, math.max(tenant_wait, total_wait)}
  else
    add(total, id, 1, tokens)
    add(tenant, id, 1, tokens)
  end
end

close(total)
close(tenant)
return answer
