-- One order is one row here, one in deliveries, one in payments and one for each item in items.
-- Lengths are in characters. Numbers are bigint, as every safe integer of JSON must fit.
create table orders (
  order_uid          varchar(50) collate "C" primary key,
  -- Numbers the orders as they are inserted: the newest 1000 are a scan of this column's index.
  id                 bigint generated always as identity unique,
  track_number       varchar(20) not null,
  entry              varchar(10) not null,
  locale             varchar(2)  not null,
  internal_signature varchar(50) not null,
  customer_id        varchar(50) not null,
  delivery_service   varchar(50) not null,
  shardkey           varchar(10) not null,
  sm_id              bigint      not null,
  date_created       timestamptz not null,
  oof_shard          varchar(10) not null
);

create table deliveries (
  order_uid varchar(50) collate "C" primary key references orders (order_uid) on delete cascade,
  name      varchar(100) not null,
  phone     varchar(16)  not null,
  zip       varchar(20)  not null,
  city      varchar(100) not null,
  address   varchar(200) not null,
  region    varchar(100) not null,
  email     varchar(100) not null
);

create table payments (
  order_uid     varchar(50) collate "C" primary key references orders (order_uid) on delete cascade,
  transaction   varchar(50) not null,
  request_id    varchar(50) not null,
  currency      varchar(3)  not null,
  provider      varchar(50) not null,
  amount        bigint      not null,
  payment_dt    bigint      not null,
  bank          varchar(50) not null,
  delivery_cost bigint      not null,
  goods_total   bigint      not null,
  custom_fee    bigint      not null
);

create table items (
  -- The items of an order are returned sorted by id, which is how they were sent.
  id           bigint generated always as identity primary key,
  order_uid    varchar(50) collate "C" not null references orders (order_uid) on delete cascade,
  chrt_id      bigint       not null,
  track_number varchar(20)  not null,
  price        bigint       not null,
  rid          varchar(50)  not null,
  name         varchar(100) not null,
  sale         bigint       not null,
  size         varchar(10)  not null,
  total_price  bigint       not null,
  nm_id        bigint       not null,
  brand        varchar(100) not null,
  status       bigint       not null
);

create index idx_items_order_uid on items (order_uid);
