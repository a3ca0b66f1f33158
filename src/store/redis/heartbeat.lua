-- Behind state.lua. An instance says that it lives and what it knows, and hears of the others.
--
-- KEYS: the state, the instances. ARGV: the caller, and the instance's id.

local INSTANCE_MS = 5000

local now = server_us()
local now_ms = math.floor(now / 1000)
local caller = caller_at(1)
-- Also for an instance that has reserved nothing yet: it makes the fence as it connects, or its first command would
-- be older than that.
local state, is_changed = open_state(KEYS[1], caller, now)
if is_changed then write_state(KEYS[1], state) end

redis.call('ZADD', KEYS[2], now_ms, ARGV[8])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms - INSTANCE_MS)
-- Left over from before the server's clock was set back.
redis.call('ZREMRANGEBYSCORE', KEYS[2], now_ms + INSTANCE_MS, '+inf')
redis.call('PEXPIRE', KEYS[2], 2 * INSTANCE_MS)
return {now, state.fence, known(state), redis.call('ZCARD', KEYS[2])}
