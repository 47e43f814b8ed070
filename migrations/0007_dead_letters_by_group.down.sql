-- One row for each message is left. If the digests differ, as those of two clusters, the other message gets a second letter when it is read again.
delete from dead_lettered_messages m
using dead_lettered_messages kept
where kept.topic = m.topic and kept.partition = m.partition and kept.message_offset = m.message_offset
  and kept.group_id < m.group_id;

-- With the column goes the key that has it.
alter table dead_lettered_messages
  drop column group_id,
  add primary key (topic, partition, message_offset);
