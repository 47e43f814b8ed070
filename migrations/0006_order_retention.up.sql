-- One process at a time deletes expired orders: the holder, until `held_until`. A row and no advisory lock, as a lock of a session is lost
-- behind a connection pooler, and one of a transaction does not last from batch to batch.
create table order_retention (
  is_only    boolean primary key default true check (is_only),
  holder     uuid,
  held_until timestamptz not null default '-infinity',
  -- Grows as expired orders are deleted: processes poll for it, as they do for erasures.
  number     bigint not null default 0
);

insert into order_retention default values;
