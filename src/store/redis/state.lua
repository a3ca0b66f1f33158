-- What the store's scripts share. Times of budgets are microseconds, those of replay state milliseconds, both
-- of the server's clock; every number is below 2^53, so a double holds it exactly.

local function server_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- The caller's part of ARGV, from `at` on.
local function caller_at(at)
  return {
    run = ARGV[at], nonce = ARGV[at + 1], wall = tonumber(ARGV[at + 2]),
    fence = ARGV[at + 3], known = tonumber(ARGV[at + 4]), keep = tonumber(ARGV[at + 5]),
    -- For so long after a fence, what is stamped ahead of every clock is refused: another instance may know of a
    -- command stamped so, and have had no chance to say it.
    hold = tonumber(ARGV[at + 6]),
  }
end

local FIELDS = {'run', 'fence', 'epoch', 'hold', 'start', 'len', 'first', 'keep', 'cur', 'prev'}

local function read_state(key)
  local read, state = redis.call('HMGET', key, unpack(FIELDS)), {}
  for place, field in ipairs(FIELDS) do
    state[field] = place <= 2 and read[place] or tonumber(read[place] or 0)
  end
  return state
end

-- The server's start, and since when it is a primary: one that was made a replica has another's memory, though it is
-- still the same process.
local function run_of(caller)
  return caller.run .. ':' .. (string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or '')
end

-- Nothing that another memory held can be known: all that was stamped until now may have been accepted.
local function fence(state, caller, run, now_us, now)
  state.run = run
  state.fence = caller.nonce .. string.format('%.0f', now_us)
  state.epoch = math.max(state.epoch, now, caller.wall, caller.known)
  state.hold = now + caller.hold
end

-- Moves the epoch over what was accepted in the period before the last, whose ids begin to expire. A period is
-- as long as the shortest time that ids of it or of the one before it are kept, half of their time to live.
local function rotate(state, caller, now)
  -- Nothing was ever reserved.
  if state.len == 0 then return false end
  local ended = state.start + state.len
  if now < state.start then
    state.start, state.hold = now, math.min(state.hold, now + caller.hold)
  elseif now >= ended + state.first then
    state.epoch = math.max(state.epoch, state.prev, state.cur)
    state.start, state.len, state.first = now, state.keep, state.keep
    state.prev, state.cur = 0, 0
  elseif now >= ended then
    state.epoch = math.max(state.epoch, state.prev)
    state.start, state.len, state.first = ended, state.first, state.keep
    state.prev, state.cur = state.cur, 0
  else
    return false
  end
  return true
end

-- The highest timestamp that may have been accepted by anybody.
local function known(state)
  return math.max(state.epoch, state.cur, state.prev)
end

-- The replay state as it is now, and whether it has to be written.
local function open_state(key, caller, now_us)
  local now, state = math.floor(now_us / 1000), read_state(key)
  local is_changed = false
  if caller.keep > state.keep then
    state.keep, is_changed = caller.keep, true
    if state.len == 0 then
      state.start, state.len, state.first = now, caller.keep, caller.keep
    end
  end
  local run = run_of(caller)
  if state.run ~= run then
    fence(state, caller, run, now_us, now)
    is_changed = true
  elseif state.fence ~= caller.fence and caller.known > state.epoch or caller.known > known(state) then
    -- Accepted by a memory that this one does not have: learned under another fence, or under this one and since
    -- lost.
    state.epoch, is_changed = caller.known, true
  end
  return state, rotate(state, caller, now) or is_changed
end

local function write_state(key, state)
  local written = {}
  for _, field in ipairs(FIELDS) do
    written[#written + 1] = field
    written[#written + 1] = state[field]
  end
  redis.call('HSET', key, unpack(written))
end
