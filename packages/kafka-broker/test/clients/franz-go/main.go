// What franz-go makes of the broker at os.Args[1]: each step fails the program with what was wrong.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic, group, partitions, records = "franz", "franz-group", 3, 3000

func check(step string, err error) {
	if err != nil {
		log.Fatalf("%s: %v", step, err)
	}
	fmt.Println(step)
}

func open(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(os.Args[1]))...)
	if err != nil {
		log.Fatal(err)
	}
	return client
}

// read polls until it has count records, and commits them.
func read(ctx context.Context, client *kgo.Client, count int) (map[string]int, error) {
	seen := map[string]int{}
	for len(seen) < count {
		fetches := client.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 {
			return nil, fmt.Errorf("%d of %d records, then %v", len(seen), count, errs[0].Err)
		}
		fetches.EachRecord(func(record *kgo.Record) { seen[string(record.Value)]++ })
	}
	return seen, client.CommitUncommittedOffsets(ctx)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	client := open(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	defer client.Close()
	admin := kadm.NewClient(client)

	_, err := admin.CreateTopic(ctx, 1, 1, nil, topic)
	check("a topic is created", err)
	added, err := admin.UpdatePartitions(ctx, partitions, topic)
	if err == nil {
		err = added.Error()
	}
	check("partitions are added", err)

	client.ForceMetadataRefresh()
	for i := range records {
		client.Produce(ctx, &kgo.Record{Value: fmt.Appendf(nil, "value %d", i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				log.Fatalf("produce: %v", err)
			}
		})
	}
	check("records are produced, idempotently and with zstd", client.Flush(ctx))

	member := []kgo.Opt{kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.InstanceID("static"), kgo.DisableAutoCommit()}
	consumer := open(member...)
	seen, err := read(ctx, consumer, records)
	for value, times := range seen {
		if times != 1 {
			err = fmt.Errorf("%s came %d times", value, times)
		}
	}
	check("a static member reads each record once", err)
	consumer.Close()

	again := open(member...)
	defer again.Close()
	check("one more record is produced", client.ProduceSync(ctx, &kgo.Record{Value: []byte("new")}).FirstErr())
	seen, err = read(ctx, again, 1)
	if err == nil && seen["new"] != 1 {
		err = fmt.Errorf("read %v", seen)
	}
	check("the member comes back under its name and reads only what is new", err)

	lag, err := admin.Lag(ctx, group)
	if err == nil {
		err = lag.Error()
	}
	if total := lag[group].Lag.Total(); err == nil && total != 0 {
		err = fmt.Errorf("it is %d", total)
	}
	check("the group has no lag", err)

	ends, err := admin.ListEndOffsets(ctx, topic)
	check("end offsets are listed", err)
	_, err = admin.DeleteRecords(ctx, ends.Offsets())
	check("records are deleted", err)
	starts, err := admin.ListStartOffsets(ctx, topic)
	starts.Each(func(start kadm.ListedOffset) {
		if end, _ := ends.Lookup(topic, start.Partition); end.Offset != start.Offset {
			err = fmt.Errorf("partition %d begins at %d, not %d", start.Partition, start.Offset, end.Offset)
		}
	})
	check("the partitions begin at their ends", err)

	configs, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: kadm.StringPtr("compact")}}, topic)
	if err == nil && configs[0].Err == nil {
		err = fmt.Errorf("it was accepted")
	}
	check("a setting that cannot be done is refused", err)

	transactional := open(kgo.TransactionalID("tx"), kgo.RequestRetries(1))
	defer transactional.Close()
	if _, _, err = transactional.ProducerID(ctx); err == nil {
		log.Fatal("a transactional producer was not refused")
	}
	fmt.Println("a transactional producer is refused:", err)
}
