import { BLOBS, LIST, NOW } from "./parts.ts";

export const CREATE: string = `
-- Makes a log at once, from lines that come with the call or were gathered before.
-- KEYS  1 head, 2 lines, 3 marks, 4 and 5 gathered lines and marks, 6 blobs, then chunks of blobs that are on their way, then pairs
--       of sets that list the session (none in a Cluster)
-- ARGV  1 packed head, 2 lines in the log, 3 ttl of the session in ms, 0: none, 4 score in the sets, 5 id
--       6 '1': take what was gathered, 7 number of blobs, 8 number of arguments that are marks
--       then of each blob digest, chunks and bytes, then marks and their values, then lines
-- reply {1} made, {0, head} there is one, {-2} deleted, {-4, role} remains of a damaged session, {-6} what was gathered is not whole
${NOW}${LIST}${BLOBS}
local head = redis.call('GET', KEYS[1])
if head then
  if string.byte(head) == 35 then return {-2} end
  return {0, head}
end
if redis.call('EXISTS', KEYS[2]) == 1 then return {-4, 'head'} end
if ARGV[6] == '1' then
  if redis.call('LLEN', KEYS[4]) ~= tonumber(ARGV[2]) or redis.call('HLEN', KEYS[5]) == 0 then return {-6} end
end
local blobs = tonumber(ARGV[7])
for i = 1, blobs do
  if redis.call('LLEN', KEYS[6 + i]) ~= tonumber(ARGV[7 + i * 3]) then return {-6} end
end
for i = 7 + blobs, #KEYS do
  local size = redis.pcall('ZCARD', KEYS[i])
  if type(size) == 'table' and size.err then return {-4, 'list'} end
end
-- Of a damaged session with this id, nothing but its blobs may be left.
local remains = digests(KEYS[6])
local ttl = tonumber(ARGV[3])
local time = now()
local at = whole(time + ttl)
-- First of all a command that is refused when memory is short.
if ttl == 0 then redis.call('SET', KEYS[1], ARGV[1]) else redis.call('SET', KEYS[1], ARGV[1], 'PXAT', at) end
redis.call('DEL', KEYS[3])
unlink(KEYS[6], remains)
redis.call('UNLINK', KEYS[6])
local marks = 9 + blobs * 3
if ARGV[6] == '1' then
  redis.call('RENAME', KEYS[4], KEYS[2])
  redis.call('RENAME', KEYS[5], KEYS[3])
else
  local first = marks + tonumber(ARGV[8])
  local last = #ARGV
  for from = first, last, 4000 do redis.call('RPUSH', KEYS[2], unpack(ARGV, from, math.min(from + 3999, last))) end
  for from = marks, first - 1, 4000 do redis.call('HSET', KEYS[3], unpack(ARGV, from, math.min(from + 3999, first - 1))) end
end
for i = 2, 3 do
  if ttl == 0 then redis.call('PERSIST', KEYS[i]) else redis.call('PEXPIREAT', KEYS[i], at) end
end
for i = 1, blobs do
  local digest = ARGV[6 + i * 3]
  redis.call('HSET', KEYS[6], digest, whole(time) .. ' ' .. ARGV[7 + i * 3] .. ' ' .. ARGV[8 + i * 3])
  if ARGV[7 + i * 3] ~= '0' then
    redis.call('RENAME', KEYS[6 + i], KEYS[6] .. ':' .. digest)
    redis.call('PERSIST', KEYS[6] .. ':' .. digest)
  end
end
if ttl > 0 then expire(KEYS[6], digests(KEYS[6]), at) end
for i = 7 + blobs, #KEYS, 2 do enter(KEYS[i], KEYS[i + 1], ARGV[4], ARGV[5], ttl * 2, 'set') end
return {1}
`;

export const GATHER_LINES: string = `
-- Gathers a part of a long history beside the log. The same part sent twice is there once.
-- KEYS  1 gathered lines, 2 gathered marks
-- ARGV  1 lines that must be there already, 2 how long they are kept in ms, 3 number of arguments that are marks, marks and values, then lines
-- reply {1} added, {0} another number of lines is there
local there = redis.call('LLEN', KEYS[1])
local first = 4 + tonumber(ARGV[3])
local last = #ARGV
if there == tonumber(ARGV[1]) then
  for from = first, last, 4000 do redis.call('RPUSH', KEYS[1], unpack(ARGV, from, math.min(from + 3999, last))) end
  for from = 4, first - 1, 4000 do redis.call('HSET', KEYS[2], unpack(ARGV, from, math.min(from + 3999, first - 1))) end
elseif there ~= tonumber(ARGV[1]) + last - first + 1 then
  return {0}
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return {1}
`;

export const DROP_GATHERED: string = `
-- Drops what was gathered and is not wanted any more.
-- KEYS  1 gathered lines, 2 gathered marks
-- reply the number of keys that were there
return redis.call('UNLINK', KEYS[1], KEYS[2])
`;
