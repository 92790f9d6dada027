/** What is sent while a backend runs. Every name is schema-qualified, and each statement is one transaction: nothing depends on the connection it meets. */
export interface Statements {
  readonly append: string;
  readonly appendMany: string;
  readonly refusal: string;
  readonly head: string;
  readonly tombstone: string;
  readonly rising: string;
  readonly falling: string;
  readonly findOp: string;
  readonly findEntry: string;
  readonly renew: string;
  readonly cancel: string;
  readonly keyHolder: string;
  readonly create: string;
  readonly stage: string;
  readonly rewrite: string;
  readonly remove: string;
  readonly looseLogs: string;
  readonly purge: string;
  readonly touchBlob: string;
  readonly stageBlob: string;
  readonly putBlob: string;
  readonly getBlob: string;
  readonly collectBlobs: string;
  readonly looseBlobs: string;
  readonly purgeBlob: string;
  readonly createWithBlobs: string;
  /** Where watched sessions stand. */
  readonly places: string;
  readonly notify: string;
  /** Begins a list; conditions, order and limit follow. */
  readonly list: string;
}

/** @param schema checked by `checkSchema` */
export function statementsOf(schema: string): Statements {
  const s = `"${schema}"`;
  /** In: session, first seq, last seq, lines at most, bytes at most. Out: incarnation and last seq of the session, and lines; the first one however long it is. */
  const page = (order: "ASC" | "DESC"): string => `
    SELECT s.incarnation, s.seq::text AS last, p.seq::text AS seq, p.line
    FROM ${s}.sessions AS s LEFT JOIN LATERAL (
      SELECT t.seq, t.line FROM (
        SELECT e.seq, e.line, row_number() OVER w AS place, sum(octet_length(e.line) + 1) OVER w AS total
        FROM ${s}.entries AS e
        WHERE e.log_id = s.log_id AND e.seq BETWEEN $2::bigint AND least($3::bigint, s.seq)
        WINDOW w AS (ORDER BY e.seq ${order} ROWS UNBOUNDED PRECEDING)
        ORDER BY e.seq ${order} LIMIT $4::integer
      ) AS t WHERE t.total <= $5::bigint OR t.place = 1
    ) AS p ON true
    WHERE s.id = $1 ORDER BY p.seq ${order}`;
  return {
    append: `SELECT ${s}.append_1($1, $2, $3) AS head`,
    appendMany: `SELECT ${s}.append_many_1($1, $2, $3) AS head`,
    refusal: `SELECT head, since, held FROM ${s}.refusal_1($1, $2, $3, $4, $5, $6, $7, $8)`,
    head: `SELECT ${s}.head_1($1) AS head`,
    tombstone: `SELECT incarnation FROM ${s}.tombstones WHERE id = $1 AND deleted_at > clock_timestamp() - interval '30 days'`,
    rising: page("ASC"),
    falling: page("DESC"),
    // An entry without an op has its id for one. Sums keep the planner from walking the whole log backwards instead.
    findOp: `
      SELECT s.incarnation, greatest(
        (SELECT max(e.seq + 0) FROM ${s}.entries AS e WHERE e.log_id = s.log_id AND e.op = $2),
        (SELECT max(e.seq + 0) FROM ${s}.entries AS e WHERE e.log_id = s.log_id AND e.entry_id = $2 AND e.op IS NULL))::text AS seq
      FROM ${s}.sessions AS s WHERE s.id = $1`,
    findEntry: `
      SELECT s.incarnation, (SELECT max(e.seq + 0) FROM ${s}.entries AS e WHERE e.log_id = s.log_id AND e.entry_id = $2)::text AS seq
      FROM ${s}.sessions AS s WHERE s.id = $1`,
    renew: `
      UPDATE ${s}.sessions SET lease_expires_at = clock_timestamp() + $5::double precision * interval '1 millisecond'
      WHERE id = $1 AND incarnation = $2 AND lease_fence = $3::bigint AND lease_token = $4
      RETURNING lease_holder AS holder, cancel_requested AS cancel`,
    cancel: `UPDATE ${s}.sessions SET cancel_requested = $3 WHERE id = $1 AND incarnation = $2 AND lease_expires_at > clock_timestamp() RETURNING 1 AS done`,
    keyHolder: `SELECT session_id AS holder FROM ${s}.keys WHERE digest = $1`,
    create: `SELECT ${s}.create_1($1, $2, $3, $4) AS answer`,
    stage: `SELECT ${s}.stage_1($1, $2, $3, $4, $5, $6, $7, $8, $9)::text AS log`,
    rewrite: `SELECT ${s}.rewrite_2($1, $2, $3, $4, $5, $6) AS answer`,
    remove: `SELECT ${s}.delete_1($1, $2, $3)::text AS log`,
    looseLogs: `SELECT log_id::text AS log FROM ${s}.loose_logs WHERE purge_after <= clock_timestamp() ORDER BY purge_after LIMIT 16`,
    purge: `SELECT ${s}.purge_1($1, $2) AS done`,
    touchBlob: `SELECT ${s}.touch_blob_1($1, $2, $3, $4) AS touched`,
    stageBlob: `SELECT ${s}.stage_blob_1($1, $2, $3, $4, $5, $6)::text AS blob`,
    putBlob: `SELECT ${s}.put_blob_1($1, $2, $3, $4, $5, $6, $7, $8, $9)::text AS blob`,
    getBlob: `
      SELECT s.incarnation, b.bytes::text AS bytes, c.no, c.chunk
      FROM ${s}.sessions AS s
      LEFT JOIN ${s}.blobs AS b ON b.session_id = s.id AND b.digest = $2
      LEFT JOIN LATERAL (SELECT no, chunk FROM ${s}.blob_chunks WHERE blob_id = b.blob_id AND no >= $3::integer ORDER BY no LIMIT $4::integer) AS c ON true
      WHERE s.id = $1 ORDER BY c.no`,
    collectBlobs: `SELECT ${s}.collect_blobs_1($1, $2, $3, $4, $5)::text AS gone`,
    looseBlobs: `SELECT blob_id::text AS blob FROM ${s}.loose_blobs WHERE purge_after <= clock_timestamp() ORDER BY purge_after LIMIT 64`,
    purgeBlob: `SELECT ${s}.purge_blob_1($1, $2) AS done`,
    createWithBlobs: `SELECT ${s}.create_2($1, $2, $3, $4, $5, $6, $7) AS answer`,
    places: `SELECT id, incarnation || ' ' || seq AS place FROM ${s}.sessions WHERE id = ANY ($1::text[])`,
    notify: `SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload`,
    list: `
      SELECT id, seq::text AS seq, messages::text AS messages, agent_name, tenant_id, user_id, key, created_at, updated_at, metadata, listed_ms::text AS place
      FROM ${s}.sessions`,
  };
}
