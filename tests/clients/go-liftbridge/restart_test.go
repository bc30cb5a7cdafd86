package liftbridge_test

import (
	"testing"
	"time"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
)

func restart(t *testing.T, b *broker) {
	t.Helper()
	if upstream() {
		b.kill() // it does not leave on SIGTERM while clients are connected
	}
	must(t, b.stop())
	must(t, b.start())
}

func TestStreamsSurviveARestartAndDeletedOnesStayAway(t *testing.T) {
	b := ownBroker(t, "")
	client := b.connect(t)
	kept := newStream(t, client, lift.Partitions(2), lift.OptimisticConcurrencyControl(true))
	deleted := newStream(t, client)
	publish(t, client, kept, numbered(5), lift.ToPartition(1), lift.AckPolicyAll())
	publish(t, client, deleted, numbered(5))
	must(t, client.DeleteStream(timeLimit(t), deleted))
	before, err := client.FetchMetadata(timeLimit(t))
	must(t, err)
	if upstream() {
		time.Sleep(6 * time.Second) // it checkpoints its high watermark every five
	}
	must(t, client.Close())

	restart(t, b)
	client = b.connect(t)
	after, err := client.FetchMetadata(timeLimit(t))
	must(t, err)
	equal(t, after.Brokers()[0].ID(), before.Brokers()[0].ID())
	equal(t, after.GetStream(kept).CreationTime(), before.GetStream(kept).CreationTime())
	equal(t, len(after.GetStream(kept).Partitions()), 2)
	if after.GetStream(deleted) != nil {
		t.Fatal("the deleted stream came back")
	}
	s := subscribe(t, client, kept, lift.Partition(1), lift.StartAtEarliestReceived())
	equalAll(t, values(s.take(t, 5)), numbered(5))
	// Its settings came back too: offsets are still checked.
	_, err = client.Publish(timeLimit(t), kept, []byte("x"), lift.ToPartition(1), lift.ExpectedOffset(1))
	if err == nil || err.Error() != incorrectOffset {
		t.Fatalf("got error %v, want %q", err, incorrectOffset)
	}
	equal(t, publish(t, client, kept, []string{"x"}, lift.ToPartition(1), lift.ExpectedOffset(5))[0].Offset(), 5)
}

func TestAClientCarriesOnOverARestart(t *testing.T) {
	differsFromLiftbridge(t, "a message that it has acked and not checkpointed may be gone")
	b := ownBroker(t, "")
	client := b.connect(t, lift.ResubscribeWaitTime(patience))
	name := newStream(t, client)
	s := subscribe(t, client, name, lift.StartAtEarliestReceived())
	publish(t, client, name, numbered(3))
	s.take(t, 3)

	restart(t, b)
	eventually(t, "the publisher has connected again", func() bool {
		_, err := client.Publish(timeLimit(t), name, []byte("after"))
		return err == nil
	})
	message := s.next(t)
	equal(t, string(message.Value()), "after")
	equal(t, message.Offset(), 3)
}
