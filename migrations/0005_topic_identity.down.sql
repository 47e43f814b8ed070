alter table consumed_offsets drop column leader_epoch, drop column topic_id;
