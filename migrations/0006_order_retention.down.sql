drop table order_retention;
