-- Fails, and changes nothing, while longer values are stored.
alter table items alter column track_number type varchar(20);
alter table payments alter column currency type varchar(3);
alter table orders
  alter column track_number type varchar(20),
  alter column locale type varchar(2);
