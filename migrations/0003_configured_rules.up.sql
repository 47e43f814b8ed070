-- Room for what the configuration may allow (ORDER_CURRENCIES, ORDER_LOCALES, TRACK_PATTERN). A longer varchar rewrites no rows.
alter table orders
  alter column track_number type varchar(50),
  alter column locale type varchar(20);
alter table payments alter column currency type varchar(10);
alter table items alter column track_number type varchar(50);
