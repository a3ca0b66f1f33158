-- A sliding window, as `filters::memory` has it: spends in slots that each span at most a 31st of the window, so
-- at most 32 of them, released together one window after the last of a slot. Packed, a slot is three numbers:
-- its first and last spend, counted from the first of all, and what was spent.

local SLOTS_PER_WINDOW = 31

-- What is still counted at `now`, or all that was written where it is nil. Where the server's clock was set back,
-- the slots move back with it: their time goes on from now, which is never too short.
local function open_window(packed, length, now)
  local slots = packed and cmsgpack.unpack(packed) or {0}
  local base, count = slots[1], #slots
  local ahead = now and count > 1 and math.max(0, base + slots[count - 1] - now) or 0
  local window = {length = length, spent = 0, is_moved = ahead > 0}
  for at = 2, count, 3 do
    local last = base + slots[at + 1] - ahead
    if not now or last + length > now then
      local slot = #window + 1
      window[slot] = {base + slots[at] - ahead, last, slots[at + 2]}
      window.spent = window.spent + slots[at + 2]
    end
  end
  return window
end

local function spend(window, cost, now)
  local newest = window[#window]
  if newest and now - newest[1] < math.ceil(window.length / SLOTS_PER_WINDOW) then
    newest[2], newest[3] = now, newest[3] + cost
  else
    window[#window + 1] = {now, now, cost}
  end
  window.spent = window.spent + cost
end

-- Microseconds until `cost` fits, or until all is released where it never will.
local function wait(window, limit, cost, now)
  local excess, free_at = window.spent + cost - limit, now
  for _, slot in ipairs(window) do
    if excess <= 0 then break end
    excess, free_at = excess - slot[3], slot[2] + window.length
  end
  return free_at - now
end

local function seconds(us)
  return math.ceil(us / 1000000)
end

-- Seconds until nothing is counted any more.
local function reset(window, now)
  local newest = window[#window]
  return newest and seconds(newest[2] + window.length - now) or 0
end

local function pack(window)
  local base = window[1][1]
  local slots = {base}
  for _, slot in ipairs(window) do
    slots[#slots + 1] = slot[1] - base
    slots[#slots + 1] = slot[2] - base
    slots[#slots + 1] = slot[3]
  end
  return cmsgpack.pack(slots)
end

local function write_window(key, window, now)
  local newest = window[#window]
  if newest then
    -- One more, so that the key never goes ahead of what it counts.
    redis.call('SET', key, pack(window), 'PX', math.ceil((newest[2] + window.length - now) / 1000) + 1)
  else
    redis.call('DEL', key)
  end
end
