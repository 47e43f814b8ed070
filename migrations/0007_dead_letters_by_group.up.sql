-- Each group sends letters of its own, perhaps to another topic or another cluster: the letter of one is none for the other.
alter table dead_lettered_messages
  add column group_id text,
  drop constraint dead_lettered_messages_pkey;

-- Whose letter it was is not known. Groups that have not come to the message have none; the only group of a partition has sent it, also
-- if it is reading again. A row without a group goes: at worst the message is read again, and gets a second letter.
insert into dead_lettered_messages (group_id, topic, partition, message_offset, digest)
select o.group_id, topic, partition, message_offset, digest
from dead_lettered_messages join consumed_offsets o using (topic, partition)
where next_offset > message_offset
  or not exists (
    select from consumed_offsets other
    where other.topic = o.topic and other.partition = o.partition and other.group_id <> o.group_id
  );

delete from dead_lettered_messages where group_id is null;

alter table dead_lettered_messages add primary key (group_id, topic, partition, message_offset);
