-- Behind state.lua and window.lua. One claim: every charge and the reservation, or nothing of it.
--
-- KEYS: a window for each charge, then for a reservation the state and the id.
-- ARGV: the number of charges; `1` to claim or `0` to only look; for each charge its limit, length, cost and
-- whether it is observed; then for a reservation the caller, its timestamp and its own keep.

local GRANTED, REPLAYED, EXHAUSTED = 0, 1, 2

local count, is_claim, now = tonumber(ARGV[1]), ARGV[2] == '1', server_us()
local now_ms = math.floor(now / 1000)
local fence_said, known_said = false, 0

local replay_at = 3 + 4 * count
local state_key, id_key = KEYS[count + 1], KEYS[count + 2]
local state, is_state_changed, timestamp
if id_key then
  local caller = caller_at(replay_at)
  timestamp = tonumber(ARGV[replay_at + 7])
  state, is_state_changed = open_state(state_key, caller, now)
  local latest = math.max(now_ms, caller.wall)
  local is_replayed = timestamp <= state.epoch
    or (now_ms < state.hold and timestamp > latest)
    -- Fresh for nobody, and it would drag the epoch along.
    or timestamp > latest + tonumber(ARGV[replay_at + 8])
    or redis.call('EXISTS', id_key) == 1
  -- What a look made of the state is not kept, so nothing is learned from it.
  if not is_claim then return {is_replayed and REPLAYED or GRANTED, now, false, 0} end
  fence_said, known_said = state.fence, known(state)
  if is_replayed then
    if is_state_changed then write_state(state_key, state) end
    return {REPLAYED, now, fence_said, known_said}
  end
end

local windows, over = {}, {}
local packed = count > 0 and redis.call('MGET', unpack(KEYS, 1, count))
local longest, longest_wait = nil, 0
for charge = 1, count do
  local at = 4 * charge - 1
  local limit, cost = tonumber(ARGV[at]), tonumber(ARGV[at + 2])
  local window = open_window(packed[charge], tonumber(ARGV[at + 1]), now)
  windows[charge] = window
  if window.spent + cost > limit then
    local waits = wait(window, limit, cost, now)
    if ARGV[at + 3] == '1' then
      over[charge] = true
    elseif not longest or waits > longest_wait then
      longest, longest_wait = charge, waits
    end
  end
end

local function remaining(charge)
  return math.max(0, tonumber(ARGV[4 * charge - 1]) - windows[charge].spent)
end

if longest then
  if is_state_changed then write_state(state_key, state) end
  -- Otherwise they would stay ahead of the clock until it has caught up.
  for charge = 1, count do
    if windows[charge].is_moved then write_window(KEYS[charge], windows[charge], now) end
  end
  local rate = {remaining(longest), reset(windows[longest], now)}
  return {EXHAUSTED, now, fence_said, known_said, longest, rate[1], rate[2], math.max(1, seconds(longest_wait))}
end

if id_key then
  if is_state_changed or timestamp > state.cur then
    state.cur = math.max(state.cur, timestamp)
    if is_state_changed then
      write_state(state_key, state)
    else
      redis.call('HSET', state_key, 'cur', timestamp)
    end
  end
  -- A second more than two periods: keys may go by another reading of the clock than scripts.
  redis.call('SET', id_key, '', 'PX', 2 * state.keep + 1000)
  known_said = known(state)
end
local said = {GRANTED, now, fence_said, known_said}
for charge = 1, count do
  local window = windows[charge]
  if not over[charge] then spend(window, tonumber(ARGV[4 * charge + 1]), now) end
  if not over[charge] or window.is_moved then write_window(KEYS[charge], window, now) end
  said[#said + 1] = remaining(charge)
  said[#said + 1] = reset(windows[charge], now)
  said[#said + 1] = over[charge] and 1 or 0
end
return said
