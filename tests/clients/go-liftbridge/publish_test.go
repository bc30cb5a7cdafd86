package liftbridge_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
)

func TestAnAckSaysEverythingAboutItsMessage(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	policies := []lift.MessageOption{lift.AckPolicyLeader(), lift.AckPolicyAll()}
	for i, policy := range policies {
		before := time.Now()
		ack, err := client.Publish(timeLimit(t), name, []byte("x"), policy, lift.CorrelationID("mine"))
		must(t, err)
		equal(t, ack.Offset(), int64(i))
		equal(t, ack.Stream(), name)
		equal(t, ack.PartitionSubject(), name)
		equal(t, ack.MessageSubject(), name)
		equal(t, ack.CorrelationID(), "mine")
		equal(t, ack.AckPolicy(), lift.AckPolicy(i)) // leader is 0, all is 1
		if ack.AckInbox() == "" {
			t.Fatal("the ack names no inbox")
		}
		if ack.ReceptionTimestamp().Before(before.Add(-time.Second)) || ack.CommitTimestamp().Before(ack.ReceptionTimestamp()) {
			t.Fatalf("received %s, committed %s, published %s", ack.ReceptionTimestamp(), ack.CommitTimestamp(), before)
		}
	}
}

func TestAMessageWithoutAckPolicyIsStoredWithoutAnAck(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	ack, err := client.Publish(timeLimit(t), name, []byte("x"), lift.AckPolicyNone())
	must(t, err)
	if ack != nil {
		t.Fatalf("unexpected ack at offset %d", ack.Offset())
	}
	message := subscribe(t, client, name, lift.StartAtEarliestReceived()).next(t)
	equal(t, string(message.Value()), "x")
}

func TestAMessageComesBackWhole(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	before := time.Now()
	_, err := client.Publish(timeLimit(t), name, []byte("value"),
		lift.Key([]byte("key")),
		lift.Header("one", []byte("1")),
		lift.Headers(map[string][]byte{"two": {0, 255, 2}, "empty": {}}))
	must(t, err)

	message := subscribe(t, client, name, lift.StartAtEarliestReceived()).next(t)
	equal(t, message.Offset(), 0)
	equal(t, string(message.Key()), "key")
	equal(t, string(message.Value()), "value")
	equal(t, message.Stream(), name)
	equal(t, message.Partition(), 0)
	equal(t, message.Subject(), name)
	equal(t, message.ReplySubject(), "")
	headers := message.Headers()
	equal(t, string(headers["one"]), "1")
	equal(t, string(headers["two"]), "\x00\xff\x02")
	if value, found := headers["empty"]; !found || len(value) != 0 {
		t.Fatalf("the empty header came back as %v, %v", value, found)
	}
	equal(t, string(headers["subject"]), name)
	equal(t, string(headers["reply"]), "")
	if age := message.Timestamp().Sub(before); age < -time.Second || age > patience {
		t.Fatalf("the timestamp is %s off", age)
	}
}

func TestEmptyAndLargeValuesComeBack(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	large := bytes.Repeat([]byte{7}, 900<<10)
	for _, value := range [][]byte{{}, large, []byte("after")} {
		_, err := client.Publish(timeLimit(t), name, value)
		must(t, err)
	}
	got := subscribe(t, client, name, lift.StartAtEarliestReceived()).take(t, 3)
	equal(t, len(got[0].Value()), 0)
	equal(t, bytes.Equal(got[1].Value(), large), true)
	equal(t, string(got[2].Value()), "after")
}

func TestATooLargeMessageIsRefusedAndTheNextIsNot(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	_, err := client.Publish(timeLimit(t), name, bytes.Repeat([]byte{7}, 2<<20))
	if err == nil || err == lift.ErrAckTimeout {
		t.Fatalf("got error %v, want one about the size", err)
	}
	if text := err.Error(); !strings.Contains(text, "max") && !strings.Contains(text, "exceed") {
		t.Fatalf("the error does not speak of the limit: %v", err)
	}
	equal(t, publish(t, client, name, []string{"small"})[0].Offset(), 0)
}

func TestAsyncPublishesKeepTheirOrderAndAreAckedOnceEach(t *testing.T) {
	const count = 2000
	client := shared.connect(t, lift.AckWaitTime(patience))
	name := newStream(t, client)
	acked := make([]int64, count)
	var pending sync.WaitGroup
	pending.Add(count)
	for i := range count {
		err := client.PublishAsync(timeLimit(t), name, []byte(fmt.Sprint(i)), func(ack *lift.Ack, err error) {
			defer pending.Done() // panics when an ack comes twice
			if err != nil {
				t.Errorf("message %d: %v", i, err)
				return
			}
			acked[i] = ack.Offset()
		})
		must(t, err)
	}
	pending.Wait()
	got := subscribe(t, client, name, lift.StartAtEarliestReceived()).take(t, count)
	for i := range count {
		equal(t, acked[i], int64(i))
		equal(t, got[i].Offset(), int64(i))
		equal(t, string(got[i].Value()), fmt.Sprint(i))
	}
}

func TestConcurrentPublishersGetDenseOffsetsAndKeepTheirOwnOrder(t *testing.T) {
	const publishers, each = 4, 250
	name := newStream(t, shared.connect(t))
	var all sync.WaitGroup
	for p := range publishers {
		client := shared.connect(t)
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range each {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				if _, err := client.Publish(ctx, name, []byte(fmt.Sprintf("%d:%d", p, i))); err != nil {
					t.Errorf("publisher %d: %v", p, err)
				}
				cancel()
			}
		}()
	}
	all.Wait()
	var next [publishers]int
	for i, message := range subscribe(t, shared.connect(t), name, lift.StartAtEarliestReceived()).take(t, publishers*each) {
		var p, n int
		_, err := fmt.Sscanf(string(message.Value()), "%d:%d", &p, &n)
		must(t, err)
		equal(t, message.Offset(), int64(i))
		equal(t, n, next[p])
		next[p]++
	}
}

func TestPublishingToAnUnknownStreamOrPartitionIsRefused(t *testing.T) {
	client := shared.connect(t)
	_, err := client.Publish(timeLimit(t), unique("unknown"), []byte("x"))
	isError(t, err, lift.ErrNoSuchPartition)
	name := newStream(t, client, lift.Partitions(2))
	_, err = client.Publish(timeLimit(t), name, []byte("x"), lift.ToPartition(2))
	isError(t, err, lift.ErrNoSuchPartition)

	failed := make(chan error, 1)
	must(t, client.PublishAsync(timeLimit(t), unique("unknown"), []byte("x"), func(_ *lift.Ack, err error) { failed <- err }))
	isError(t, <-failed, lift.ErrNoSuchPartition)
	equal(t, publish(t, client, name, []string{"after"}, lift.ToPartition(1))[0].Offset(), 0)
}

func TestPartitionersSpreadMessages(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client, lift.Partitions(3))
	for i := range 6 {
		publish(t, client, name, []string{fmt.Sprintf("turn %d", i)}, lift.PartitionByRoundRobin())
	}
	for partition := range int32(3) {
		s := subscribe(t, client, name, lift.Partition(partition), lift.StartAtEarliestReceived())
		for i, message := range s.take(t, 2) {
			equal(t, message.Offset(), int64(i))
			equal(t, message.Partition(), partition)
		}
	}
	// CRC-32 (IEEE) of the key modulo 3: foo goes to 2.
	publish(t, client, name, []string{"keyed"}, lift.Key([]byte("foo")), lift.PartitionByKey())
	message := subscribe(t, client, name, lift.Partition(2), lift.StartAtOffset(2)).next(t)
	equal(t, string(message.Value()), "keyed")
	equal(t, message.Subject(), name+".2")
}
