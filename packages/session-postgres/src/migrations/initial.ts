/** The columns of the type `head`, of a row named `s`. */
const HEAD_COLUMNS = `s.log_id, s.id, s.incarnation, s.seq, s.hash, s.head_seq, s.fence, s.messages, s.bytes,
  s.agent_name, s.tenant_id, s.user_id, s.key, s.created_at, s.updated_at, s.metadata, s.unsupported,
  s.lease_fence, s.lease_holder, extract(epoch FROM s.lease_expires_at - clock_timestamp()) * 1000, s.cancel_requested, encode(s.wrapped_keys, 'hex')`;

/** What every append changes in the row `s` of its session; `q` is the request. */
const PROGRESS = `seq = q.seq, hash = q.hash, head_seq = q.head_seq, messages = q.messages, bytes = s.bytes + q.bytes,
      fence = greatest(s.fence, q.fence, CASE WHEN q.lease_use = 'take' THEN q.lease_fence END),
      updated_at = greatest(s.updated_at, q.updated_at),
      updated_ms = CASE WHEN q.updated_at > s.updated_at THEN q.updated_ms ELSE s.updated_ms END,
      listed_ms = CASE WHEN q.updated_at > s.updated_at AND q.updated_ms - s.listed_ms >= 10000 THEN q.updated_ms ELSE s.listed_ms END,
      unsupported = coalesce(s.unsupported, q.unsupported)`;

/** Incarnation, version and lease, in this one row: under READ COMMITTED all of it is checked again after waiting for another writer. */
const EXPECTED = `s.id = q.id AND s.incarnation = q.incarnation AND s.seq = q.expect_seq AND s.hash = q.expect_hash
      AND CASE q.lease_use
        WHEN 'take' THEN (s.lease_expires_at IS NULL OR s.lease_expires_at <= clock_timestamp()) AND q.lease_fence = s.fence + 1
        WHEN 'hold' THEN s.lease_fence = q.lease_fence AND s.lease_token = q.lease_token
        WHEN 'release' THEN s.lease_fence = q.lease_fence AND s.lease_token = q.lease_token
        ELSE true
      END`;

/**
 * Version 1. A migration that has been released is never changed; the next one is a new file. `S` stands for the schema.
 *
 * A log is the lines of one incarnation; `sessions.log_id` names the current one. So a rewrite, a fork or a delete is one
 * change of one row, and lines that no row names can be seen by nobody (`loose_logs` remembers them until they are gone).
 */
export const initial: string = `
CREATE SEQUENCE S.log_ids AS bigint;

CREATE TABLE S.sessions (
  id text COLLATE "C" PRIMARY KEY,
  incarnation text COLLATE "C" NOT NULL,
  log_id bigint NOT NULL,
  seq bigint NOT NULL,
  hash text COLLATE "C" NOT NULL,
  head_seq bigint NOT NULL,
  fence bigint NOT NULL,
  messages bigint NOT NULL,
  bytes bigint NOT NULL,
  agent_name text COLLATE "C" NOT NULL,
  tenant_id text COLLATE "C",
  user_id text COLLATE "C",
  key text COLLATE "C",
  key_digest bytea,
  created_at text COLLATE "C" NOT NULL,
  updated_at text COLLATE "C" NOT NULL,
  updated_ms bigint NOT NULL,
  -- The order of lists: updated_ms, but moved at most every 10 s. An index on a column that each append changes costs 0.4 of an insert.
  listed_ms bigint NOT NULL,
  -- JSON as text: json and jsonb refuse what JSON may hold.
  metadata text NOT NULL,
  -- One digest for each member of the metadata.
  labels bytea[],
  unsupported text COLLATE "C",
  lease_fence bigint,
  lease_token text COLLATE "C",
  lease_holder text COLLATE "C",
  lease_expires_at timestamptz,
  cancel_requested text COLLATE "C",
  wrapped_keys bytea
) WITH (fillfactor = 60);
CREATE INDEX sessions_by_update ON S.sessions (listed_ms DESC, id);
CREATE INDEX sessions_by_agent ON S.sessions (agent_name, listed_ms DESC, id);
CREATE INDEX sessions_by_tenant ON S.sessions (tenant_id, listed_ms DESC, id) WHERE tenant_id IS NOT NULL;
CREATE INDEX sessions_by_user ON S.sessions (user_id, listed_ms DESC, id) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_by_label ON S.sessions USING gin (labels);

CREATE TABLE S.entries (
  log_id bigint NOT NULL,
  seq bigint NOT NULL,
  entry_id text COLLATE "C" NOT NULL,
  op text COLLATE "C",
  tenant_id text COLLATE "C",
  line bytea NOT NULL,
  PRIMARY KEY (log_id, seq)
);
CREATE INDEX entries_by_id ON S.entries (log_id, entry_id);
CREATE INDEX entries_by_op ON S.entries (log_id, op, seq) WHERE op IS NOT NULL;

CREATE TABLE S.keys (
  digest bytea PRIMARY KEY,
  session_id text COLLATE "C" NOT NULL,
  tenant_id text COLLATE "C"
);

CREATE TABLE S.tombstones (
  id text COLLATE "C" PRIMARY KEY,
  incarnation text COLLATE "C" NOT NULL,
  tenant_id text COLLATE "C",
  deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX tombstones_by_age ON S.tombstones (deleted_at);

-- Logs that no session names: of a create under way or broken off, of a deleted or rewritten session.
CREATE TABLE S.loose_logs (
  log_id bigint PRIMARY KEY,
  tenant_id text COLLATE "C",
  purge_after timestamptz NOT NULL
);
CREATE INDEX loose_logs_by_age ON S.loose_logs (purge_after);

CREATE TYPE S.append_request AS (
  id text, incarnation text, expect_seq bigint, expect_hash text,
  seq bigint, hash text, head_seq bigint, messages bigint, fence bigint, bytes bigint,
  updated_at text, updated_ms bigint, metadata text, labels bytea[], unsupported text,
  lease_use text, lease_fence bigint, lease_token text, lease_holder text, lease_ms double precision, wrapped_keys bytea,
  entry_ids text[], ops text[], starts integer[], sizes integer[]
);

CREATE TYPE S.session_start AS (
  id text, incarnation text, log_id bigint, seq bigint, hash text, head_seq bigint, messages bigint, fence bigint, bytes bigint,
  agent_name text, tenant_id text, user_id text, key text, key_digest bytea,
  created_at text, updated_at text, updated_ms bigint, metadata text, labels bytea[], unsupported text,
  entry_ids text[], ops text[], starts integer[], sizes integer[]
);

-- What a caller may see of a session, and the number of its log. Never the token of a lease.
CREATE TYPE S.head AS (
  log_id bigint, id text, incarnation text, seq bigint, hash text, head_seq bigint, fence bigint, messages bigint, bytes bigint,
  agent_name text, tenant_id text, user_id text, key text, created_at text, updated_at text, metadata text, unsupported text,
  lease_fence bigint, lease_holder text, lease_ms double precision, cancel_requested text, wrapped_keys text
);

-- head_1: the head of a session as JSON; NULL: there is none. A function, so that its plan is kept by whatever connection it meets.
CREATE FUNCTION S.head_1(p_id text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  h S.head;
BEGIN
  SELECT ${HEAD_COLUMNS} INTO h FROM S.sessions AS s WHERE s.id = p_id;
  RETURN CASE WHEN FOUND THEN row_to_json(h)::text END;
END
$$;

-- In: lines, and for each where it begins in p_lines (counted from 1), its size, and what is indexed of it.
CREATE FUNCTION S.add_entries(p_log_id bigint, p_tenant_id text, p_first_seq bigint, p_lines bytea, p_entry_ids text[], p_ops text[], p_starts integer[], p_sizes integer[])
RETURNS void LANGUAGE sql AS $$
  INSERT INTO S.entries (log_id, seq, entry_id, op, tenant_id, line)
  SELECT p_log_id, p_first_seq + x.place - 1, x.entry_id, x.op, p_tenant_id, substring(p_lines FROM x.start FOR x.size)
  FROM unnest(p_entry_ids, p_ops, p_starts, p_sizes) WITH ORDINALITY AS x (entry_id, op, start, size, place)
$$;

-- Waits for locks end before the caller's patience does, with an error that says for sure that nothing was written.
-- An acknowledged write is on the disk, whatever the role or the database are set to.
CREATE FUNCTION S.begin_write(p_lock_ms integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('lock_timeout', p_lock_ms::text, true);
  IF current_setting('synchronous_commit') = 'off' THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;
END
$$;

-- append_1: in, the head that the lines were built on, what they change, a lease to take, hold or release, and the lines.
-- Out: the new head; NULL: incarnation, expected version or lease do not fit, and nothing was written.
CREATE FUNCTION S.append_1(q S.append_request, p_lines bytea, p_lock_ms integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  h S.head;
BEGIN
  -- As begin_write does, and as add_entries does below: a call of either costs more than its work.
  PERFORM set_config('lock_timeout', p_lock_ms::text, true), CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) END;
  IF q.lease_use IN ('take', 'release') OR q.metadata IS NOT NULL OR q.wrapped_keys IS NOT NULL THEN
    UPDATE S.sessions AS s SET
      ${PROGRESS},
      metadata = coalesce(q.metadata, s.metadata),
      labels = CASE WHEN q.metadata IS NULL THEN s.labels ELSE q.labels END,
      lease_fence = CASE q.lease_use WHEN 'take' THEN q.lease_fence WHEN 'release' THEN NULL ELSE s.lease_fence END,
      lease_token = CASE q.lease_use WHEN 'take' THEN q.lease_token WHEN 'release' THEN NULL ELSE s.lease_token END,
      lease_holder = CASE q.lease_use WHEN 'take' THEN q.lease_holder WHEN 'release' THEN NULL ELSE s.lease_holder END,
      lease_expires_at = CASE q.lease_use WHEN 'take' THEN clock_timestamp() + q.lease_ms * interval '1 millisecond' WHEN 'release' THEN NULL ELSE s.lease_expires_at END,
      cancel_requested = CASE WHEN q.lease_use IN ('take', 'release') THEN NULL ELSE s.cancel_requested END,
      wrapped_keys = coalesce(q.wrapped_keys, s.wrapped_keys)
    WHERE ${EXPECTED}
    RETURNING ${HEAD_COLUMNS} INTO h;
  ELSE
    -- The same for most appends: each column that is named costs time.
    UPDATE S.sessions AS s SET
      ${PROGRESS}
    WHERE ${EXPECTED}
    RETURNING ${HEAD_COLUMNS} INTO h;
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO S.entries (log_id, seq, entry_id, op, tenant_id, line)
  SELECT h.log_id, q.expect_seq + x.place, x.entry_id, x.op, h.tenant_id, substring(p_lines FROM x.start FOR x.size)
  FROM unnest(q.entry_ids, q.ops, q.starts, q.sizes) WITH ORDINALITY AS x (entry_id, op, start, size, place);
  RETURN row_to_json(h)::text;
END
$$;

-- refusal_1: why an append was refused. In, p_claim_ms above 0: takes the row first, to be held until the transaction ends, or for so long.
-- Out: the head (NULL: there is none), all lines since the expected version (NULL: it never was the version, or they are more than 1 MiB),
-- and whether the lease is held as given.
CREATE FUNCTION S.refusal_1(p_id text, p_incarnation text, p_seq bigint, p_hash text, p_fence bigint, p_token text, p_claim_ms integer, p_lock_ms integer, OUT head text, OUT since bytea, OUT held boolean)
LANGUAGE plpgsql AS $$
DECLARE
  h S.head;
BEGIN
  IF p_claim_ms > 0 THEN
    PERFORM S.begin_write(p_lock_ms), set_config('idle_in_transaction_session_timeout', p_claim_ms::text, true);
    PERFORM 1 FROM S.sessions WHERE id = p_id AND incarnation = p_incarnation FOR UPDATE;
  END IF;
  SELECT ${HEAD_COLUMNS} INTO h FROM S.sessions AS s WHERE s.id = p_id;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  head := row_to_json(h)::text;
  held := EXISTS (SELECT 1 FROM S.sessions AS s WHERE s.id = p_id AND s.lease_fence = p_fence AND s.lease_token = p_token);
  -- A line ends with its hash: 43 characters before "}.
  IF h.incarnation = p_incarnation AND h.seq > p_seq AND h.seq - p_seq <= 4096 AND EXISTS (
    SELECT 1 FROM S.entries AS e WHERE e.log_id = h.log_id AND e.seq = p_seq AND substring(e.line FROM octet_length(e.line) - 44 FOR 43) = convert_to(p_hash, 'UTF8')
  ) THEN
    SELECT CASE WHEN sum(octet_length(e.line) + 1) <= 1048576 THEN string_agg(e.line || '\\x0a'::bytea, ''::bytea ORDER BY e.seq) END INTO since
    FROM S.entries AS e WHERE e.log_id = h.log_id AND e.seq > p_seq AND e.seq <= h.seq;
  END IF;
END
$$;

-- append_many_1: several appends in one transaction, in the order given: the caller gives them in the order of their ids, so that no two wait for each other.
CREATE FUNCTION S.append_many_1(p_requests S.append_request[], p_lines bytea, p_lock_ms integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  q S.append_request;
BEGIN
  FOREACH q IN ARRAY p_requests LOOP
    RETURN NEXT S.append_1(q, p_lines, p_lock_ms);
  END LOOP;
END
$$;

-- stage_1: adds lines to a log that no session names yet. In, log_id: 0 begins one. Out: the log's number; NULL: it has been purged meanwhile.
CREATE FUNCTION S.stage_1(p_log_id bigint, p_tenant_id text, p_first_seq bigint, p_lines bytea, p_entry_ids text[], p_ops text[], p_starts integer[], p_sizes integer[], p_lock_ms integer)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  staged bigint := p_log_id;
BEGIN
  PERFORM S.begin_write(p_lock_ms);
  IF p_log_id = 0 THEN
    staged := nextval('S.log_ids');
    INSERT INTO S.loose_logs (log_id, tenant_id, purge_after) VALUES (staged, p_tenant_id, clock_timestamp() + interval '1 day');
  ELSE
    UPDATE S.loose_logs SET purge_after = clock_timestamp() + interval '1 day' WHERE log_id = p_log_id;
    IF NOT FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
  PERFORM S.add_entries(staged, p_tenant_id, p_first_seq, p_lines, p_entry_ids, p_ops, p_starts, p_sizes);
  RETURN staged;
END
$$;

-- create_1: in, a new session, what to do if its key is taken ('get', 'take', 'refuse'), and its last lines; log_id 0: these are all.
-- Out: ['created', head], or ['key', id of the session that has it]. Raises AX001 (the id exists), AX002 (it was deleted), AX003 (the staged lines are gone).
-- Key and session appear at once or not at all, so no create is ever left unfinished.
CREATE FUNCTION S.create_1(q S.session_start, p_on_key text, p_lines bytea, p_lock_ms integer) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  holder text;
  log bigint := q.log_id;
BEGIN
  PERFORM S.begin_write(p_lock_ms);
  WHILE q.key_digest IS NOT NULL LOOP
    -- Waits for a rival that has not committed yet, and sees what it did.
    INSERT INTO S.keys (digest, session_id, tenant_id) VALUES (q.key_digest, q.id, q.tenant_id) ON CONFLICT (digest) DO NOTHING;
    EXIT WHEN FOUND;
    IF p_on_key = 'take' THEN
      UPDATE S.keys SET session_id = q.id WHERE digest = q.key_digest;
      EXIT WHEN FOUND;
    ELSE
      SELECT session_id INTO holder FROM S.keys WHERE digest = q.key_digest;
      IF FOUND THEN
        RETURN ARRAY['key', holder];
      END IF;
    END IF;
  END LOOP;
  IF q.log_id = 0 THEN
    log := nextval('S.log_ids');
  ELSE
    DELETE FROM S.loose_logs WHERE log_id = q.log_id;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'the staged lines are gone' USING ERRCODE = 'AX003';
    END IF;
  END IF;
  INSERT INTO S.sessions (id, incarnation, log_id, seq, hash, head_seq, messages, fence, bytes, agent_name, tenant_id, user_id, key, key_digest,
    created_at, updated_at, updated_ms, listed_ms, metadata, labels, unsupported)
  VALUES (q.id, q.incarnation, log, q.seq, q.hash, q.head_seq, q.messages, q.fence, q.bytes, q.agent_name, q.tenant_id, q.user_id, q.key, q.key_digest,
    q.created_at, q.updated_at, q.updated_ms, q.updated_ms, q.metadata, q.labels, q.unsupported)
  ON CONFLICT (id) DO NOTHING;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the session exists' USING ERRCODE = 'AX001';
  END IF;
  -- Looked for last: whoever deleted a session of this id has committed by now.
  PERFORM 1 FROM S.tombstones WHERE id = q.id AND deleted_at > clock_timestamp() - interval '30 days';
  IF FOUND THEN
    RAISE EXCEPTION 'the session was deleted' USING ERRCODE = 'AX002';
  END IF;
  PERFORM S.add_entries(log, q.tenant_id, q.seq - cardinality(q.sizes) + 1, p_lines, q.entry_ids, q.ops, q.starts, q.sizes);
  RETURN ARRAY['created', S.head_1(q.id)];
END
$$;

-- rewrite_1: in, the life that ends and its expected version, and a new one whose lines are staged. Key, wrapped keys and id stay.
-- Out: ['rewritten', head, number of the log that is left]; NULL: incarnation or version do not fit, or a lease is live. Raises AX003.
CREATE FUNCTION S.rewrite_1(p_incarnation text, p_seq bigint, p_hash text, q S.session_start, p_lock_ms integer) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  old S.sessions;
BEGIN
  PERFORM S.begin_write(p_lock_ms);
  SELECT * INTO old FROM S.sessions WHERE id = q.id FOR UPDATE;
  IF NOT FOUND OR old.incarnation <> p_incarnation OR old.seq <> p_seq OR old.hash <> p_hash OR old.lease_expires_at > clock_timestamp() THEN
    RETURN NULL;
  END IF;
  DELETE FROM S.loose_logs WHERE log_id = q.log_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the staged lines are gone' USING ERRCODE = 'AX003';
  END IF;
  INSERT INTO S.loose_logs (log_id, tenant_id, purge_after) VALUES (old.log_id, old.tenant_id, clock_timestamp());
  UPDATE S.sessions SET
    incarnation = q.incarnation, log_id = q.log_id, seq = q.seq, hash = q.hash, head_seq = q.head_seq, messages = q.messages, fence = q.fence, bytes = q.bytes,
    agent_name = q.agent_name, tenant_id = q.tenant_id, user_id = q.user_id, key = q.key,
    created_at = q.created_at, updated_at = q.updated_at, updated_ms = q.updated_ms, listed_ms = q.updated_ms,
    metadata = q.metadata, labels = q.labels, unsupported = q.unsupported,
    lease_fence = NULL, lease_token = NULL, lease_holder = NULL, lease_expires_at = NULL, cancel_requested = NULL
  WHERE id = q.id;
  RETURN ARRAY['rewritten', S.head_1(q.id), old.log_id::text];
END
$$;

-- delete_1: the tombstone, then the session, then its key if it still names it. Out: number of the log that is left; NULL: no such life of a session.
CREATE FUNCTION S.delete_1(p_id text, p_incarnation text, p_lock_ms integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  old S.sessions;
BEGIN
  PERFORM S.begin_write(p_lock_ms);
  SELECT * INTO old FROM S.sessions WHERE id = p_id AND incarnation = p_incarnation FOR UPDATE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO S.tombstones (id, incarnation, tenant_id) VALUES (old.id, old.incarnation, old.tenant_id)
  ON CONFLICT (id) DO UPDATE SET incarnation = excluded.incarnation, tenant_id = excluded.tenant_id, deleted_at = clock_timestamp();
  DELETE FROM S.sessions WHERE id = p_id;
  DELETE FROM S.keys WHERE digest = old.key_digest AND session_id = old.id;
  INSERT INTO S.loose_logs (log_id, tenant_id, purge_after) VALUES (old.log_id, old.tenant_id, clock_timestamp());
  DELETE FROM S.tombstones WHERE ctid IN (
    SELECT ctid FROM S.tombstones WHERE deleted_at < clock_timestamp() - interval '30 days' LIMIT 100 FOR UPDATE SKIP LOCKED);
  RETURN old.log_id;
END
$$;

-- purge_1: takes some lines away from a log that no session names. Out: whether it is gone now.
CREATE FUNCTION S.purge_1(p_log_id bigint, p_lines integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  first bigint;
BEGIN
  -- Whoever writes to it or purges it is left alone.
  PERFORM 1 FROM S.loose_logs WHERE log_id = p_log_id FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN true;
  END IF;
  SELECT min(seq) INTO first FROM S.entries WHERE log_id = p_log_id;
  DELETE FROM S.entries WHERE log_id = p_log_id AND seq < first + p_lines;
  PERFORM 1 FROM S.entries WHERE log_id = p_log_id LIMIT 1;
  IF FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM S.loose_logs WHERE log_id = p_log_id;
  RETURN true;
END
$$;
`;
