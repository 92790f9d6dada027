import { BLOBS, GATHER, LIST, NOW, OPEN, tell, type Voice } from "./parts.ts";

export const append = (voice: Voice): string => `
-- Appends lines to a session: all of them or none.
-- KEYS  1 head, 2 lines, 3 marks, with a ttl 4 blobs, then the sets "updated" of the scopes that list the session (none in a Cluster)
-- ARGV  1 expected head: packed, or its position line alone, 2 next head, packed ('' only look); an empty last line means as it is
--       3 lines that are there
--       4 '1': if the expected head is the whole truth, the next one is as well; 't': and a lease is left, say the time; '': it must be worked out
--       5 for all but the usual way: most bytes of lines that a conflict brings, 'w' (a conflict is written, so that WAIT can confirm it) or '-', lease:
--         '' | 'A fence token holder ttl logFence' takes it | 'L fence token' uses it | 'R fence token' gives it up
--       6 ttl of the session in ms, 0: none, 7 score in the sets, 8 id, 9 number of arguments that are marks, then marks and values, then the lines
-- reply 1 or {1, lease line, now}: written ('': the lease line that was sent); 0 conflict: {0, head, now, lines since or false}
--       {2} as expected, nothing written; {-1} none, {-2} deleted, {-3} other incarnation, {-4, role} damaged, {-5} fenced
-- Checks in this order: incarnation, expect, lease. The usual case compares one text and builds none. Writes begin after the
-- last check, with a command that is refused when memory is short or its key is of another type. A set of another type is no
-- reason to refuse: it is the list that is damaged, and says so.
local head = redis.call('GET', KEYS[1])
local packed = ARGV[2]
local lease = ''
if head ~= ARGV[1] or ARGV[4] == '' then
  local most, written, wants = string.match(ARGV[5], '^(%d+)(.)(.*)$')
  ${NOW}${OPEN}${GATHER}
  local expected = string.match(ARGV[1], '^[^\\n]*\\n')
  local function conflict()
    local life, wanted, hash = string.match(expected, '^(%S+) (%d+) (.*)\\n$')
    local current, seq = opened(life or '%')
    if not current then return seq end
    local since = false
    wanted = tonumber(wanted)
    if wanted and wanted < seq then
      local line = redis.call('LINDEX', KEYS[2], wanted)
      if line and string.sub(line, -45, -3) == hash then since = gather(wanted + 1, seq, tonumber(most)) or false end
    end
    if written == 'w' then redis.call('SET', KEYS[1], current, 'KEEPTTL') end
    return {0, current, now(), since}
  end
  if not head or string.sub(head, 1, #expected) ~= expected then return conflict() end
  local keys, counters, constants
  lease, keys, counters, constants = string.match(head, '^([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n(.*)$', #expected + 1)
  if not lease then return {-4, 'head'} end
  if wants ~= '' then
    local mode, fence, token, holder, ttl, logFence = string.match(wants, '^(%a) (%S+) (%S+) ?(%S*) ?(%S*) ?(%S*)$')
    local held, owner, expires = string.match(lease, '^(%S+) ?(%S*) ?(%S*)')
    if mode == 'A' then
      local time = now()
      local live = owner ~= '' and tonumber(expires) > time
      if live or tonumber(fence) ~= math.max(tonumber(held), tonumber(logFence)) + 1 then return conflict() end
      lease = fence .. ' ' .. token .. ' ' .. whole(time + tonumber(ttl)) .. ' ' .. holder .. ' -'
    else
      if owner ~= token or held ~= fence then return {-5} end
      if mode == 'R' then lease = held end
    end
  end
  if packed == '' then return {2} end
  local position, nextKeys, nextCounters, nextConstants = string.match(packed, '^([^\\n]*\\n)[^\\n]*\\n([^\\n]*)\\n([^\\n]*)\\n(.*)$')
  if nextConstants == '' then nextConstants = constants end
  packed = table.concat({position .. lease, nextKeys, nextCounters, nextConstants}, '\\n')
end

if redis.call('LLEN', KEYS[2]) ~= tonumber(ARGV[3]) then return {-4, 'lines'} end
local first = 10 + ARGV[9]
local last = #ARGV
local blobs
if ARGV[6] ~= '0' then blobs = redis.call('HKEYS', KEYS[4]) end
for from = 10, first - 1, 4000 do redis.call('HSET', KEYS[3], unpack(ARGV, from, math.min(from + 3999, first - 1))) end
for from = first, last, 4000 do redis.call('RPUSH', KEYS[2], unpack(ARGV, from, math.min(from + 3999, last))) end
if ARGV[6] == '0' then
  redis.call('SET', KEYS[1], packed, 'KEEPTTL')
  for i = 4, #KEYS do redis.pcall('ZADD', KEYS[i], 'GT', ARGV[7], ARGV[8]) end
else
  ${NOW}${LIST}${BLOBS}
  local ttl = tonumber(ARGV[6])
  local at = whole(now() + ttl)
  redis.call('SET', KEYS[1], packed, 'PXAT', at)
  redis.call('PEXPIREAT', KEYS[2], at)
  redis.call('PEXPIREAT', KEYS[3], at)
  expire(KEYS[4], blobs, at)
  for i = 5, #KEYS do
    local fresh = redis.call('EXISTS', KEYS[i]) == 0
    redis.pcall('ZADD', KEYS[i], 'GT', ARGV[7], ARGV[8])
    lives(KEYS[i], ttl * 2, fresh)
  end
end
${tell(voice)}
if ARGV[4] == '1' and lease == '' then return 1 end
if lease ~= '' and not string.find(lease, ' ', 1, true) then return {1, lease, 0} end
local t = redis.call('TIME')
return {1, lease, t[1] * 1000 + math.floor(t[2] / 1000)}
`;
