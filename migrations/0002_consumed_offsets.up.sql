-- The stored offset of each consumer group and partition: every message before `next_offset` is stored or has a dead letter. It
-- moves in the transaction that stores a batch, and only with the right `claim`, a fencing token that every write replaces.
create table consumed_offsets (
  group_id    text    not null,
  topic       text    not null,
  partition   integer not null,
  -- Null until the first start offset is known.
  next_offset bigint,
  -- An operator has skipped everything before it; null again once the group's committed offset has passed it.
  skipped_to  bigint,
  claim       uuid    not null,
  primary key (group_id, topic, partition)
) with (fillfactor = 10); -- Each batch updates a row: free space on its page lets it do so without a new index entry.

-- Messages that have a dead letter, so that a message that is read again gets no second one.
create table dead_lettered_messages (
  topic          text    not null,
  partition      integer not null,
  message_offset bigint  not null,
  -- Of the message, as offsets start again when a topic is recreated.
  digest         text    not null,
  primary key (topic, partition, message_offset)
);
