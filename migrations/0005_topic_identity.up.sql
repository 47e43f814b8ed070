alter table consumed_offsets
  -- Kafka's id of the topic that `next_offset` is an offset of. Null: not known yet, or Kafka is older than 2.8.
  add column topic_id uuid,
  -- The leader epoch of the last record that was read: its leader's log had all records before `next_offset`. Null: not known.
  add column leader_epoch integer;
