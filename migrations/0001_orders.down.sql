drop table items;
drop table payments;
drop table deliveries;
drop table orders;
