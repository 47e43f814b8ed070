drop table erased_orders;
drop table erasure_key;
