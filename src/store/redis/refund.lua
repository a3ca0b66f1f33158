-- Behind window.lua. Gives back what was spent at one moment; taken from any other slot, what remains would be
-- released too early.
--
-- KEYS: a window for each charge. ARGV: the moment, then for each charge its cost.

local at = tonumber(ARGV[1])
for charge, packed in ipairs(redis.call('MGET', unpack(KEYS))) do
  -- The key's own time to live says how long it counts, so nothing is released here.
  local window = packed and open_window(packed) or {}
  for place, slot in ipairs(window) do
    if slot[1] <= at and at <= slot[2] then
      slot[3] = math.max(0, slot[3] - tonumber(ARGV[charge + 1]))
      if slot[3] == 0 then table.remove(window, place) end
      if #window == 0 then
        redis.call('DEL', KEYS[charge])
      else
        redis.call('SET', KEYS[charge], pack(window), 'KEEPTTL')
      end
      break
    end
  end
end
