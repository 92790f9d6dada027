import { BLOBS, GATHER, NOW, OPEN, tell, type Voice } from "./parts.ts";

export const rewrite = (voice: Voice): string => `
-- Replaces a log by the gathered lines of another incarnation.
-- KEYS  1 head, 2 lines, 3 marks, 4 and 5 gathered lines and marks, 6 blobs
-- ARGV  1 incarnation, 2 expected position line, 3 next position line, 4 next counters, 5 next constants, 6 lines in the new log
--       7 ttl of the session in ms, 0: as it is, 8 most bytes of lines that a conflict brings, 9 '1': only look
--       10 '1': only the blobs stay whose digests follow, '': all of them
-- reply {1, head} replaced, {0, head, now, lines since or false} conflict, {2} as expected, {-1}, {-2}, {-3, incarnation}, {-4, role}, {-6} what was gathered is not whole
-- A live lease is a conflict. Wrapped keys stay, the lease was of the old life.
${NOW}${OPEN}${GATHER}${BLOBS}
local head, seq = opened(ARGV[1])
if not head then return seq end
local lease, keys = string.match(head, '^[^\\n]*\\n([^\\n]*)\\n([^\\n]*)\\n')
if not lease then return {-4, 'head'} end
local owner, expires = string.match(lease, '^%S+ (%S+) (%S+)')
local time = now()
if string.sub(head, 1, #ARGV[2]) ~= ARGV[2] or (owner and tonumber(expires) > time) then
  local since = false
  local wanted, hash = string.match(ARGV[2], '^%S+ (%d+) (.*)\\n$')
  wanted = tonumber(wanted)
  if wanted and wanted < seq then
    local line = redis.call('LINDEX', KEYS[2], wanted)
    if line and string.sub(line, -45, -3) == hash then since = gather(wanted + 1, seq, tonumber(ARGV[8])) or false end
  end
  return {0, head, time, since}
end
if ARGV[9] == '1' then return {2} end
if redis.call('LLEN', KEYS[4]) ~= tonumber(ARGV[6]) or redis.call('HLEN', KEYS[5]) == 0 then return {-6} end
local blobs = digests(KEYS[6])
local left = redis.call('PTTL', KEYS[1])
local ttl = tonumber(ARGV[7])
if ttl > 0 then left = ttl end
local packed = table.concat({ARGV[3] .. '0', keys, ARGV[4], ARGV[5]}, '\\n')
local at = whole(time + left)
if left < 0 then redis.call('SET', KEYS[1], packed) else redis.call('SET', KEYS[1], packed, 'PXAT', at) end
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('RENAME', KEYS[4], KEYS[2])
redis.call('RENAME', KEYS[5], KEYS[3])
for i = 2, 3 do
  if left < 0 then redis.call('PERSIST', KEYS[i]) else redis.call('PEXPIREAT', KEYS[i], at) end
end
if ARGV[10] == '1' then
  local named, kept = {}, {}
  for i = 11, #ARGV do named[ARGV[i]] = true end
  for _, digest in ipairs(blobs) do
    if named[digest] then
      kept[#kept + 1] = digest
    else
      redis.call('HDEL', KEYS[6], digest)
      redis.call('UNLINK', KEYS[6] .. ':' .. digest)
    end
  end
  blobs = kept
end
if left < 0 then persist(KEYS[6], blobs) else expire(KEYS[6], blobs, at) end
${tell(voice)}
return {1, packed}
`;

export const remove = (voice: Voice): string => `
-- Leaves a tombstone in the place of a session.
-- KEYS  1 head, 2 lines, 3 marks, 4 blobs
-- ARGV  1 incarnation, 2 how long the tombstone stays in ms, 3 '1': also what is left of a session whose head is gone or cannot be read
-- reply {1, head} deleted, {1} its remains were, {0} was deleted before, {-1} none, {-2, incarnation} another life was, {-3, incarnation} another life, {-4, role}
-- A damaged session is deleted like any other, as long as its head names the incarnation.
${NOW}${BLOBS}
local head = redis.pcall('GET', KEYS[1])
local life
if type(head) == 'string' then
  if string.byte(head) == 35 then
    life = string.match(head, '^#(%S*)')
    if life == ARGV[1] then return {0} end
    return {-2, life}
  end
  life = string.match(head, '^(%S+) %d+ %S+\\n')
elseif not head and redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[4]) == 0 then
  return {-1}
end
if not life and ARGV[3] ~= '1' then return {-4, 'head'} end
if life and life ~= ARGV[1] then return {-3, life} end
-- In this order also a full server takes it: memory is freed first, and what a script has begun it may end.
local blobs = redis.pcall('HKEYS', KEYS[4])
if not blobs.err then unlink(KEYS[4], blobs) end
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
redis.call('SET', KEYS[1], '#' .. ARGV[1] .. ' ' .. whole(now()), 'PX', ARGV[2])
${tell(voice)}
if life then return {1, head} end
return {1}
`;
