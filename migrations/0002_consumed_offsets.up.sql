-- How far a consumer group has come in each partition: everything before `next_offset` is stored or has a dead letter. It is moved
-- in the transaction that stores a batch, and only by the member that knows `claim`, which every write replaces.
create table consumed_offsets (
  group_id    text    not null,
  topic       text    not null,
  partition   integer not null,
  -- Null until it is known where to begin.
  next_offset bigint,
  -- What lies before was left out on purpose, until the group's committed offset has passed it.
  skipped_to  bigint,
  claim       uuid    not null,
  primary key (group_id, topic, partition)
) with (fillfactor = 10); -- A row changes with each batch: room on its page lets it do so without a new index entry.

-- Messages that have a dead letter, so that one that is read again gets no second one.
create table dead_lettered_messages (
  topic          text    not null,
  partition      integer not null,
  message_offset bigint  not null,
  -- Of the message, as offsets begin again when a topic is made anew.
  digest         text    not null,
  primary key (topic, partition, message_offset)
);
