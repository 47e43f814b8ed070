-- The key of the digests in erased_orders, made here once, so that all processes and every copy of this database agree on it. HMAC-SHA-256
-- (RFC 2104) of a text is sha256(outer_pad || sha256(inner_pad || text)); both pads are the key, each XORed with a constant.
create table erasure_key (
  is_only   boolean primary key default true check (is_only),
  inner_pad bytea not null,
  outer_pad bytea not null
);

insert into erasure_key (inner_pad, outer_pad)
select
  string_agg(set_byte('\x00', 0, get_byte(key, i) # 54), '' order by i),
  string_agg(set_byte('\x00', 0, get_byte(key, i) # 92), '' order by i)
from
  -- 32 random bytes, and zeros up to the 64 of a block.
  (select sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) || decode(repeat('00', 32), 'hex') as key) k,
  generate_series(0, 63) as i;

-- Orders that were erased, by a digest of their order_uid, which is not kept. Ingest does not store them again.
create table erased_orders (
  digest    bytea primary key,
  -- Grows with each erasure, in the order of the commits: processes poll for the highest one.
  number    bigint generated always as identity unique,
  erased_at timestamptz not null default now()
);
