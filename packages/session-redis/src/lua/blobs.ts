import { BLOBS, NOW, OPEN } from "./parts.ts";

export const TOUCH_BLOB: string = `
-- Begins the age of a blob anew.
-- KEYS  1 head, 2 lines, 3 blobs, 4 chunks of the blob
-- ARGV  1 incarnation, 2 digest
-- reply {1} done, {0} there is none, or not all of it; {-1}, {-2}, {-3}, {-4, role}
${NOW}${OPEN}${BLOBS}
local head, reply = opened(ARGV[1])
if not head then return reply end
local chunks, rest = stored(KEYS[3], ARGV[2])
if not chunks or redis.call('LLEN', KEYS[4]) ~= chunks then return {0} end
redis.call('HSET', KEYS[3], ARGV[2], whole(now()) .. rest)
return {1}
`;

export const STAGE_CHUNK: string = `
-- Puts a chunk behind those that are on their way. The same one sent twice is there once.
-- KEYS  1 chunks on their way
-- ARGV  1 chunks that must be there already, 2 how long they are kept in ms, 3 bytes
-- reply {1} added, {-6} another number of chunks is there
local there = redis.call('LLEN', KEYS[1])
local due = tonumber(ARGV[1])
if there == due then redis.call('RPUSH', KEYS[1], ARGV[3]) elseif there ~= due + 1 then return {-6} end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {1}
`;

export const PUBLISH_BLOB: string = `
-- Gives the chunks that are on their way their name: from now on they are a blob of the session.
-- KEYS  1 head, 2 lines, 3 blobs, 4 chunks of the blob, 5 chunks on their way, 6 marks
-- ARGV  1 incarnation, 2 digest, 3 number of chunks, 4 bytes
-- reply {1} stored, or there already; {-1}, {-2}, {-3}, {-4, role}, {-6} what is on its way is not whole
${NOW}${OPEN}${BLOBS}
local head, reply = opened(ARGV[1])
if not head then return reply end
local time = now()
local due = tonumber(ARGV[3])
local chunks, rest = stored(KEYS[3], ARGV[2])
local there = redis.call('LLEN', KEYS[4])
if chunks and there == chunks then
  redis.call('HSET', KEYS[3], ARGV[2], whole(time) .. rest)
  redis.call('UNLINK', KEYS[5])
  return {1}
end
if redis.call('LLEN', KEYS[5]) ~= due then return {-6} end
-- First of all a command that is refused when memory is short.
redis.call('HSET', KEYS[3], ARGV[2], whole(time) .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
redis.call('UNLINK', KEYS[4])
if due > 0 then
  redis.call('RENAME', KEYS[5], KEYS[4])
  redis.call('PERSIST', KEYS[4])
end
local left = redis.call('PTTL', KEYS[1])
if left >= 0 then
  local at = whole(time + left)
  for _, i in ipairs({1, 2, 6}) do redis.call('PEXPIREAT', KEYS[i], at) end
  expire(KEYS[3], digests(KEYS[3]), at)
end
return {1}
`;

export const READ_CHUNK: string = `
-- One chunk of a blob.
-- KEYS  1 head, 2 lines, 3 blobs, 4 chunks of the blob
-- ARGV  1 incarnation, 2 digest, 3 which chunk
-- reply {1, bytes or '', number of chunks}, {0} there is no such blob; {-1}, {-2}, {-3}, {-4, role}
${OPEN}${BLOBS}
local head, reply = opened(ARGV[1])
if not head then return reply end
local chunks = stored(KEYS[3], ARGV[2])
if not chunks then return {0} end
if redis.call('LLEN', KEYS[4]) ~= chunks then return {-4, 'blobs:' .. ARGV[2]} end
return {1, redis.call('LINDEX', KEYS[4], ARGV[3]) or '', chunks}
`;

export const BLOB_AGES: string = `
-- Which blobs a session has, and when each was touched last.
-- KEYS  1 head, 2 lines, 3 blobs
-- ARGV  1 incarnation
-- reply {1, now, {digest, record, ...}}, {-1}, {-2}, {-3}, {-4, role}
${NOW}${OPEN}
local head, reply = opened(ARGV[1])
if not head then return reply end
return {1, now(), redis.call('HGETALL', KEYS[3])}
`;

export const COLLECT_BLOBS: string = `
-- Removes blobs that have not been touched for long enough.
-- KEYS  1 head, 2 lines, 3 blobs, then the chunks of each
-- ARGV  1 incarnation, 2 age in ms, then the digest of each
-- reply {1, how many went}, {-1}, {-2}, {-3}, {-4, role}
${NOW}${OPEN}${BLOBS}
local head, reply = opened(ARGV[1])
if not head then return reply end
local since = now() - tonumber(ARGV[2])
local gone = 0
for i = 3, #ARGV do
  local _, _, touched = stored(KEYS[3], ARGV[i])
  if touched and touched <= since then
    redis.call('HDEL', KEYS[3], ARGV[i])
    redis.call('UNLINK', KEYS[i + 1])
    gone = gone + 1
  end
end
return {1, gone}
`;

export const DROP_STAGED: string = `
-- Drops chunks that are not wanted any more.
-- KEYS  chunks on their way
-- reply the number of keys that were there
return redis.call('UNLINK', unpack(KEYS))
`;

export const KEEP_STAGED: string = `
-- Keeps chunks that are on their way for longer.
-- KEYS  chunks on their way
-- ARGV  1 how long in ms
-- reply {1}
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[1]) end
return {1}
`;
