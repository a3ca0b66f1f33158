-- Behind state.lua. An instance says that it lives and what it knows, and hears of the others.
--
-- KEYS: the state, the instances. ARGV: the caller, and the instance's id.

local INSTANCE_MS = 5000

local now = server_us()
local now_ms = math.floor(now / 1000)
local caller = caller_at(1)
local fence_said, known_said = false, 0
-- An instance that never reserved anything has no keep to begin a state with.
if caller.keep > 0 or redis.call('EXISTS', KEYS[1]) == 1 then
  local state, is_changed = open_state(KEYS[1], caller, now)
  if is_changed then write_state(KEYS[1], state) end
  fence_said, known_said = state.fence, known(state)
end

redis.call('ZADD', KEYS[2], now_ms, ARGV[7])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms - INSTANCE_MS)
-- Left over from before the server's clock was set back.
redis.call('ZREMRANGEBYSCORE', KEYS[2], now_ms + INSTANCE_MS, '+inf')
redis.call('PEXPIRE', KEYS[2], 2 * INSTANCE_MS)
return {now, fence_said, known_said, redis.call('ZCARD', KEYS[2])}
