import { NOW, OPEN } from "./parts.ts";

export const HEAD: string = `
-- The head of a session.
-- KEYS  1 head, 2 lines
-- reply {1, head, now}, {-1}, {-2}, {-4, role}
${NOW}${OPEN}
local head, reply = opened('')
if not head then return reply end
return {1, head, now()}
`;

export const READ: string = `
-- Lines of a range, as many as fit; at least one, if there is one.
-- KEYS  1 head, 2 lines
-- ARGV  1 incarnation, 2 first seq, 3 last seq or '' (the head), 4 '1': falling, from the last on, 5 bytes, 6 lines at most or '' (all)
-- reply {1, lines, each ended by a newline, how many, seq of the first that is left, seq of the last that is left}, {-1}, {-2}, {-3}, {-4, role}
-- The range is made smaller by what is answered; it is empty when the first is greater than the last.
${OPEN}
local head, seq = opened(ARGV[1])
if not head then return seq end
local first = tonumber(ARGV[2])
local last = seq
if ARGV[3] ~= '' then last = math.min(tonumber(ARGV[3]), seq) end
local falling = ARGV[4] == '1'
local limit = tonumber(ARGV[5])
if ARGV[6] ~= '' then
  local most = tonumber(ARGV[6])
  if falling then first = math.max(first, last - most + 1) else last = math.min(last, first + most - 1) end
end
local found, bytes, step = {}, 0, 1
while first <= last do
  local part
  if falling then
    part = redis.call('LRANGE', KEYS[2], math.max(first, last - step + 1), last)
  else
    part = redis.call('LRANGE', KEYS[2], first, math.min(last, first + step - 1))
  end
  local count = #part
  if count == 0 then return {-4, 'lines'} end
  for i = 1, count do
    local line = part[falling and count - i + 1 or i]
    bytes = bytes + #line + 1
    if bytes > limit and #found > 0 then return {1, table.concat(found, '\\n') .. '\\n', #found, first, last} end
    found[#found + 1] = line
    if falling then last = last - 1 else first = first + 1 end
  end
  step = math.min(step * 2, 32)
end
if #found == 0 then return {1, '', 0, first, last} end
return {1, table.concat(found, '\\n') .. '\\n', #found, first, last}
`;

export const FIND: string = `
-- Seq of the last entry with a mark.
-- KEYS  1 head, 2 lines, 3 marks
-- ARGV  1 incarnation, 2 the mark that all logs have, 3 a mark, 4 a second one, 5 'w': something is written, so that WAIT can confirm the answer
-- reply {1, value or false, value or false}, {-1}, {-2}, {-3}, {-4, role}
${OPEN}
local head, reply = opened(ARGV[1])
if not head then return reply end
local found = redis.call('HMGET', KEYS[3], ARGV[2], ARGV[3], ARGV[4])
-- A hash that was lost and begun anew by a later append has not all that it should.
if not found[1] then return {-4, 'marks'} end
if ARGV[5] == 'w' then redis.call('SET', KEYS[1], head, 'KEEPTTL') end
return {1, found[2], found[3]}
`;

export const RENEW: string = `
-- Prolongs a lease. An expired one that nobody took is prolonged, too.
-- KEYS  1 head, 2 lines
-- ARGV  1 incarnation, 2 fence, 3 token, 4 ttl in ms
-- reply {1, lease line, now}, {-1}, {-2}, {-3}, {-4, role}, {-5} fenced
${NOW}${OPEN}
local head, reply = opened(ARGV[1])
if not head then return reply end
local position, lease, rest = string.match(head, '^([^\\n]*\\n)([^\\n]*)(\\n.*)$')
if not position then return {-4, 'head'} end
local fence, token, tail = string.match(lease, '^(%S+) (%S+) %S+( .*)$')
if fence ~= ARGV[2] or token ~= ARGV[3] then return {-5} end
local time = now()
lease = fence .. ' ' .. token .. ' ' .. whole(time + tonumber(ARGV[4])) .. tail
redis.call('SET', KEYS[1], position .. lease .. rest, 'KEEPTTL')
return {1, lease, time}
`;

export const CANCEL: string = `
-- Tells the holder of the live lease to stop.
-- KEYS  1 head, 2 lines
-- ARGV  1 incarnation, 2 reason
-- reply {1} told, {0} nobody holds one, {-1}, {-2}, {-3}, {-4, role}
${NOW}${OPEN}
local head, reply = opened(ARGV[1])
if not head then return reply end
local position, lease, rest = string.match(head, '^([^\\n]*\\n)([^\\n]*)(\\n.*)$')
if not position then return {-4, 'head'} end
local record, expires, holder = string.match(lease, '^(%S+ %S+) (%S+) (%S+)')
if not record or tonumber(expires) <= now() then return {0} end
redis.call('SET', KEYS[1], position .. record .. ' ' .. expires .. ' ' .. holder .. ' ' .. ARGV[2] .. rest, 'KEEPTTL')
return {1}
`;

export const POSITIONS: string = `
-- The first lines of heads, tombstones included.
-- KEYS  heads
-- reply {line or '' (there is none), ...}
local lines = {}
for i, key in ipairs(KEYS) do
  local head = redis.pcall('GET', key)
  lines[i] = type(head) == 'string' and string.match(head, '^[^\\n]*') or ''
end
return lines
`;

export const DIAGNOSE: string = `
-- Which key of a session holds a value of another type.
-- KEYS  1 head, 2 lines, 3 marks, 4 blobs, 5 chunks of a blob, if one is meant
-- ARGV  the role of each key
-- reply {role, ...}
local wrong = {}
for i, command in ipairs({'GET', 'LLEN', 'HLEN', 'HLEN', 'LLEN'}) do
  local reply = KEYS[i] and redis.pcall(command, KEYS[i])
  if type(reply) == 'table' and reply.err then wrong[#wrong + 1] = ARGV[i] end
end
return wrong
`;
