"""What librdkafka, by confluent-kafka, makes of the broker at sys.argv[1]: each step fails the program with what was wrong."""

import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

BROKER, TOPIC, GROUP, RECORDS = sys.argv[1], "confluent", "confluent-group", 3000
common = {"bootstrap.servers": BROKER}


def step(name):
    print(name, flush=True)


def finish(futures):
    return [future.result(20) for future in futures.values()]


admin = AdminClient(common)
finish(admin.create_topics([NewTopic(TOPIC, 1, 1)]))
finish(admin.create_partitions([NewPartitions(TOPIC, 3)]))
step("a topic is created and gets more partitions")

failures = []
producer = Producer(common | {"enable.idempotence": True, "compression.type": "lz4", "linger.ms": 5})
for number in range(RECORDS):
    producer.produce(TOPIC, f"value {number}", on_delivery=lambda error, _: error and failures.append(error))
    producer.poll(0)
assert producer.flush(30) == 0 and not failures, failures
step("records are produced, idempotently and with lz4")


def member():
    consumer = Consumer(
        common
        | {
            "group.id": GROUP,
            "group.instance.id": "static",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([TOPIC])
    return consumer


def read(consumer, count):
    values, deadline = [], time.monotonic() + 30
    while len(values) < count and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        values.append(message.value().decode())
    consumer.commit(asynchronous=False)
    return values


first = member()
values = read(first, RECORDS)
assert sorted(values) == sorted(f"value {number}" for number in range(RECORDS)), len(values)
first.close()
step("a static member reads each record once")

producer.produce(TOPIC, "new")
producer.flush(10)
second = member()
assert read(second, 1) == ["new"]
step("the member comes back under its name and reads only what is new")

ends = {
    partition: second.get_watermark_offsets(TopicPartition(TOPIC, partition), timeout=10)[1] for partition in range(3)
}
finish(admin.delete_records([TopicPartition(TOPIC, partition, end) for partition, end in ends.items()]))
for partition, end in ends.items():
    low, high = second.get_watermark_offsets(TopicPartition(TOPIC, partition), timeout=10)
    assert low == high == end, (partition, low, high, end)
second.close()
step("records are deleted")

lost = Consumer(common | {"group.id": "lost", "auto.offset.reset": "error"})
lost.assign([TopicPartition(TOPIC, 0, 0)])
started, message = time.process_time(), lost.poll(10)
lost.poll(2)
assert message is not None and message.error() is not None, message
# At an error whose records are null librdkafka asks again at once, for ever, on a whole core.
assert time.process_time() - started < 1, time.process_time() - started
lost.close()
step("an offset out of range is an error, and does not spin")

transactional = Producer(common | {"transactional.id": "tx"})
try:
    transactional.init_transactions(3)
    sys.exit("a transactional producer was not refused")
except KafkaException as error:
    step(f"a transactional producer is refused: {error.args[0].str()}")
