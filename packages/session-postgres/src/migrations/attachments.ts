/**
 * Version 2: attachments. A blob is chunks under a number of its own; `blobs` names it, once for each session that has it. A
 * fork names the same chunks as its origin. What nothing names can be read by nobody (`loose_blobs` remembers it until it is gone).
 *
 * Whoever adds a name holds the session's row against a delete, or the row of another name against its removal: so a blob
 * whose last name has gone gets no new one.
 */
export const attachments: string = `
CREATE SEQUENCE S.blob_ids AS bigint;

CREATE TABLE S.blobs (
  session_id text COLLATE "C" NOT NULL,
  digest text COLLATE "C" NOT NULL,
  blob_id bigint NOT NULL,
  tenant_id text COLLATE "C",
  bytes bigint NOT NULL,
  touched_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (session_id, digest)
);
CREATE INDEX blobs_by_number ON S.blobs (blob_id);

CREATE TABLE S.blob_chunks (
  blob_id bigint NOT NULL,
  no integer NOT NULL,
  tenant_id text COLLATE "C",
  chunk bytea NOT NULL,
  PRIMARY KEY (blob_id, no)
);
-- Most attachments are compressed already.
ALTER TABLE S.blob_chunks ALTER COLUMN chunk SET STORAGE EXTERNAL;

-- Blobs that no session names: of a put under way or broken off, or whose last name has gone.
CREATE TABLE S.loose_blobs (
  blob_id bigint PRIMARY KEY,
  tenant_id text COLLATE "C",
  purge_after timestamptz NOT NULL
);
CREATE INDEX loose_blobs_by_age ON S.loose_blobs (purge_after);

-- loosen_blob: a name of this blob has gone; if it was the last one, its chunks go when it is purged.
CREATE FUNCTION S.loosen_blob(p_blob_id bigint, p_tenant_id text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO S.loose_blobs (blob_id, tenant_id, purge_after) VALUES (p_blob_id, p_tenant_id, clock_timestamp()) ON CONFLICT (blob_id) DO NOTHING
$$;

-- drop_blobs: takes names away from a session. In, p_keep: those that stay; p_older_ms: only names that are older. Out: how many went.
CREATE FUNCTION S.drop_blobs(p_session_id text, p_keep text[], p_older_ms double precision) RETURNS bigint LANGUAGE sql AS $$
  WITH gone AS (
    DELETE FROM S.blobs WHERE session_id = p_session_id AND digest <> ALL (p_keep) AND touched_at <= clock_timestamp() - p_older_ms * interval '1 millisecond'
    RETURNING blob_id, tenant_id
  ), loosened AS (
    SELECT S.loosen_blob(blob_id, tenant_id) FROM gone
  )
  SELECT count(*) FROM loosened
$$;

-- stage_blob_1: adds chunks to a blob that no session names yet. In, blob_id: 0 begins one; p_bytes is cut into chunks from p_first_no on.
-- Out: the blob's number; NULL: it has been purged meanwhile. Sent twice it does the same as once. Nothing of it counts before
-- put_blob_1, whose commit brings all of it to the disk: no chunk waits for the disk itself.
CREATE FUNCTION S.stage_blob_1(p_blob_id bigint, p_tenant_id text, p_first_no integer, p_bytes bytea, p_chunk_bytes integer, p_lock_ms integer)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  staged bigint := p_blob_id;
BEGIN
  PERFORM set_config('lock_timeout', p_lock_ms::text, true), set_config('synchronous_commit', 'off', true);
  IF p_blob_id = 0 THEN
    staged := nextval('S.blob_ids');
    INSERT INTO S.loose_blobs (blob_id, tenant_id, purge_after) VALUES (staged, p_tenant_id, clock_timestamp() + interval '1 day');
  ELSE
    UPDATE S.loose_blobs SET purge_after = clock_timestamp() + interval '1 day' WHERE blob_id = p_blob_id;
    IF NOT FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
  PERFORM S.add_chunks(staged, p_tenant_id, p_first_no, p_bytes, p_chunk_bytes);
  RETURN staged;
END
$$;

CREATE FUNCTION S.add_chunks(p_blob_id bigint, p_tenant_id text, p_first_no integer, p_bytes bytea, p_chunk_bytes integer) RETURNS void LANGUAGE sql AS $$
  INSERT INTO S.blob_chunks (blob_id, no, tenant_id, chunk)
  SELECT p_blob_id, p_first_no + n, p_tenant_id, substring(p_bytes FROM n * p_chunk_bytes + 1 FOR p_chunk_bytes)
  FROM generate_series(0, (octet_length(p_bytes) + p_chunk_bytes - 1) / p_chunk_bytes - 1) AS n
  ON CONFLICT (blob_id, no) DO NOTHING
$$;

-- touch_blob_1: out, whether this life of a session has the blob, whose age begins anew then; NULL: there is no such life.
CREATE FUNCTION S.touch_blob_1(p_session_id text, p_incarnation text, p_digest text, p_lock_ms integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM S.begin_write(p_lock_ms);
  PERFORM 1 FROM S.sessions WHERE id = p_session_id AND incarnation = p_incarnation FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  UPDATE S.blobs SET touched_at = clock_timestamp() WHERE session_id = p_session_id AND digest = p_digest;
  RETURN FOUND;
END
$$;

-- put_blob_1: names a blob. In, its number (0: none is staged), its last bytes, and its length. Out: the number that the name leads to, which is
-- another one if the session had these bytes already; NULL: there is no such life of a session. Raises AX003 (the staged chunks are gone).
-- Sent twice it does the same as once.
CREATE FUNCTION S.put_blob_1(p_session_id text, p_incarnation text, p_digest text, p_blob_id bigint, p_first_no integer, p_bytes bytea, p_chunk_bytes integer, p_length bigint, p_lock_ms integer)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  tenant text;
  mine bigint := p_blob_id;
  named bigint;
BEGIN
  PERFORM S.begin_write(p_lock_ms);
  SELECT tenant_id INTO tenant FROM S.sessions WHERE id = p_session_id AND incarnation = p_incarnation FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  IF mine = 0 THEN
    mine := nextval('S.blob_ids');
  END IF;
  INSERT INTO S.blobs AS b (session_id, digest, blob_id, tenant_id, bytes) VALUES (p_session_id, p_digest, mine, tenant, p_length)
  ON CONFLICT (session_id, digest) DO UPDATE SET touched_at = clock_timestamp()
  RETURNING b.blob_id INTO named;
  IF named <> mine THEN
    RETURN named;
  END IF;
  -- From here on no purge begins; one that has begun, after this put was given up, may have taken some chunks.
  DELETE FROM S.loose_blobs WHERE blob_id = mine;
  IF (SELECT count(*) FROM S.blob_chunks WHERE blob_id = mine AND no < p_first_no) <> p_first_no THEN
    RAISE EXCEPTION 'the staged chunks are gone' USING ERRCODE = 'AX003';
  END IF;
  PERFORM S.add_chunks(mine, tenant, p_first_no, p_bytes, p_chunk_bytes);
  RETURN named;
END
$$;

-- collect_blobs_1: out, how many blobs of this life of a session went; NULL: there is no such life.
CREATE FUNCTION S.collect_blobs_1(p_session_id text, p_incarnation text, p_keep text[], p_older_ms double precision, p_lock_ms integer) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  PERFORM S.begin_write(p_lock_ms);
  PERFORM 1 FROM S.sessions WHERE id = p_session_id AND incarnation = p_incarnation FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN S.drop_blobs(p_session_id, p_keep, p_older_ms);
END
$$;

-- purge_blob_1: takes some chunks away from a blob that no session names. Out: whether it is gone now, or named after all.
CREATE FUNCTION S.purge_blob_1(p_blob_id bigint, p_chunks integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  first integer;
BEGIN
  -- Whoever writes to it or purges it is left alone.
  PERFORM 1 FROM S.loose_blobs WHERE blob_id = p_blob_id FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN true;
  END IF;
  PERFORM 1 FROM S.blobs WHERE blob_id = p_blob_id LIMIT 1;
  IF NOT FOUND THEN
    SELECT min(no) INTO first FROM S.blob_chunks WHERE blob_id = p_blob_id;
    DELETE FROM S.blob_chunks WHERE blob_id = p_blob_id AND no < first + p_chunks;
    PERFORM 1 FROM S.blob_chunks WHERE blob_id = p_blob_id LIMIT 1;
    IF FOUND THEN
      RETURN false;
    END IF;
  END IF;
  DELETE FROM S.loose_blobs WHERE blob_id = p_blob_id;
  RETURN true;
END
$$;

-- own_blob: the number of the same bytes for another tenant, whose rows the first one's role may not see.
CREATE FUNCTION S.own_blob(p_blob_id bigint, p_tenant_id text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  copy bigint := nextval('S.blob_ids');
BEGIN
  INSERT INTO S.blob_chunks (blob_id, no, tenant_id, chunk) SELECT copy, no, p_tenant_id, chunk FROM S.blob_chunks WHERE blob_id = p_blob_id;
  RETURN copy;
END
$$;

-- create_2: create_1, and blobs of another session for the new one; those that it has not are passed over. Raises AX004 (no such life of the other session) besides.
CREATE FUNCTION S.create_2(q S.session_start, p_on_key text, p_lines bytea, p_from_id text, p_from_incarnation text, p_digests text[], p_lock_ms integer) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  answer text[] := S.create_1(q, p_on_key, p_lines, p_lock_ms);
  b S.blobs;
BEGIN
  IF answer[1] <> 'created' THEN
    RETURN answer;
  END IF;
  PERFORM 1 FROM S.sessions WHERE id = p_from_id AND incarnation = p_from_incarnation FOR KEY SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the origin is gone' USING ERRCODE = 'AX004';
  END IF;
  FOR b IN SELECT * FROM S.blobs WHERE session_id = p_from_id AND digest = ANY (p_digests) ORDER BY digest FOR SHARE LOOP
    INSERT INTO S.blobs (session_id, digest, blob_id, tenant_id, bytes)
    VALUES (q.id, b.digest, CASE WHEN b.tenant_id IS NOT DISTINCT FROM q.tenant_id THEN b.blob_id ELSE S.own_blob(b.blob_id, q.tenant_id) END, q.tenant_id, b.bytes);
  END LOOP;
  RETURN answer;
END
$$;

-- rewrite_2: rewrite_1, and the blobs that stay (NULL: all of them).
CREATE FUNCTION S.rewrite_2(p_incarnation text, p_seq bigint, p_hash text, q S.session_start, p_keep text[], p_lock_ms integer) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  answer text[] := S.rewrite_1(p_incarnation, p_seq, p_hash, q, p_lock_ms);
  b S.blobs;
BEGIN
  IF answer IS NULL THEN
    RETURN NULL;
  END IF;
  IF p_keep IS NOT NULL THEN
    PERFORM S.drop_blobs(q.id, p_keep, 0);
  END IF;
  FOR b IN SELECT * FROM S.blobs WHERE session_id = q.id AND tenant_id IS DISTINCT FROM q.tenant_id FOR UPDATE LOOP
    UPDATE S.blobs SET blob_id = S.own_blob(b.blob_id, q.tenant_id), tenant_id = q.tenant_id WHERE session_id = q.id AND digest = b.digest;
    PERFORM S.loosen_blob(b.blob_id, b.tenant_id);
  END LOOP;
  RETURN answer;
END
$$;

-- delete_1: as before, and the session's blobs with it: also for nodes of the release before, which call it.
CREATE OR REPLACE FUNCTION S.delete_1(p_id text, p_incarnation text, p_lock_ms integer) RETURNS bigint LANGUAGE plpgsql AS $$
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
  PERFORM S.drop_blobs(p_id, '{}', 0);
  INSERT INTO S.loose_logs (log_id, tenant_id, purge_after) VALUES (old.log_id, old.tenant_id, clock_timestamp());
  DELETE FROM S.tombstones WHERE ctid IN (
    SELECT ctid FROM S.tombstones WHERE deleted_at < clock_timestamp() - interval '30 days' LIMIT 100 FOR UPDATE SKIP LOCKED);
  RETURN old.log_id;
END
$$;
`;
