import { LIST } from "./parts.ts";

export const ENTER: string = `
-- Lists a session in scopes.
-- KEYS  pairs of sets: by update, by id
-- ARGV  1 score, 2 id, 3 how long the sets must live in ms, 0: for ever, 4 'raise': the score only grows, 'set'
-- reply {1}
${LIST}
for i = 1, #KEYS, 2 do enter(KEYS[i], KEYS[i + 1], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]) end
return {1}
`;

export const LEAVE: string = `
-- Takes a session out of scopes.
-- KEYS  pairs of sets: by update, by id
-- ARGV  1 id, 2 only with this score, '': whatever it is
-- reply {number of scopes that it was in}
local left = 0
for i = 1, #KEYS, 2 do
  local score = ARGV[2] ~= '' and redis.call('ZSCORE', KEYS[i], ARGV[1])
  if ARGV[2] == '' or (score and tonumber(score) == tonumber(ARGV[2])) then
    left = left + redis.call('ZREM', KEYS[i], ARGV[1])
    redis.call('ZREM', KEYS[i + 1], ARGV[1])
  end
end
return {left}
`;

export const RESCORE: string = `
-- Puts right a score that does not fit the head, unless it has been changed meanwhile.
-- KEYS  1 set by update
-- ARGV  1 id, 2 score that was seen, 3 score
-- reply {1} changed, {0}
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then return {0} end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return {1}
`;

export const WALK_UPDATED: string = `
-- Ids of a scope, the newest update first; of one time, the greatest id first.
-- KEYS  1 set by update
-- ARGV  1 score of the last one seen, '': from the start, 2 its id, 3 least score, exclusive, or '', 4 greatest score, exclusive, or '', 5 how many
-- reply {id, score, id, score, ...}
local set = KEYS[1]
local start = 0
if ARGV[4] ~= '' then start = redis.call('ZCOUNT', set, ARGV[4], '+inf') end
if ARGV[1] ~= '' then
  local above = redis.call('ZCOUNT', set, '(' .. ARGV[1], '+inf')
  local low, high = above, above + redis.call('ZCOUNT', set, ARGV[1], ARGV[1])
  -- The first of those with this score whose id is smaller; the one that was seen may be gone.
  while low < high do
    local middle = math.floor((low + high) / 2)
    if redis.call('ZREVRANGE', set, middle, middle)[1] < ARGV[2] then high = middle else low = middle + 1 end
  end
  start = math.max(start, low)
end
local part = redis.call('ZREVRANGE', set, start, start + ARGV[5] - 1, 'WITHSCORES')
if ARGV[3] == '' then return part end
local least = tonumber(ARGV[3])
local found = {}
for i = 1, #part, 2 do
  if tonumber(part[i + 1]) <= least then break end
  found[#found + 1] = part[i]
  found[#found + 1] = part[i + 1]
end
return found
`;

export const WALK_IDS: string = `
-- Ids of a scope in the order of their bytes.
-- KEYS  1 set by id
-- ARGV  1 the last one seen, '': from the start, 2 how many
-- reply {id, id, ...}
local from = '-'
if ARGV[1] ~= '' then from = '(' .. ARGV[1] end
return redis.call('ZRANGEBYLEX', KEYS[1], from, '+', 'LIMIT', 0, ARGV[2])
`;

export const SIZE: string = `
-- How many sessions a scope lists.
-- KEYS  1 set by update
-- reply {count}
return {redis.call('ZCARD', KEYS[1])}
`;

export const PEEK: string = `
-- Heads of several sessions, without a look at anything else.
-- KEYS  heads
-- reply a value each; false: there is none, '' : it cannot be read
local found = {}
for i = 1, #KEYS do
  local value = redis.pcall('GET', KEYS[i])
  if type(value) == 'table' then value = '' end
  found[i] = value
end
return found
`;

export const OLDEST: string = `
-- Ids of a scope, the oldest update first.
-- KEYS  1 set by update
-- ARGV  1 how many
-- reply {id, id, ...}
return redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
`;
