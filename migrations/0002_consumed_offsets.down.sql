drop table dead_lettered_messages;
drop table consumed_offsets;
