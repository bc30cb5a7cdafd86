package liftbridge_test

import (
	"sync"
	"testing"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
)

const (
	incorrectOffset = "incorrect expected offset"
	policyRequired  = "stream with concurrency control must have AckPolicy set"
)

func controlled(t *testing.T, client lift.Client) string {
	t.Helper()
	return newStream(t, client, lift.OptimisticConcurrencyControl(true))
}

func TestAWrongExpectedOffsetIsRefused(t *testing.T) {
	client := shared.connect(t)
	name := controlled(t, client)
	_, err := client.Publish(timeLimit(t), name, []byte("x"), lift.ExpectedOffset(100))
	if err == nil || err.Error() != incorrectOffset {
		t.Fatalf("got error %v, want %q", err, incorrectOffset)
	}
}

func TestExpectedOffsetMinusOneIsNeverRefused(t *testing.T) {
	client := shared.connect(t)
	name := controlled(t, client)
	for i := range int64(3) {
		ack, err := client.Publish(timeLimit(t), name, []byte("x"), lift.ExpectedOffset(-1))
		must(t, err)
		equal(t, ack.Offset(), i)
	}
}

func TestCorrectExpectedOffsetsSucceedInTurn(t *testing.T) {
	client := shared.connect(t)
	name := controlled(t, client)
	for i := range int64(3) {
		ack, err := client.Publish(timeLimit(t), name, []byte("x"), lift.ExpectedOffset(i))
		must(t, err)
		equal(t, ack.Offset(), i)
	}
}

func TestAControlledStreamNeedsAnAckPolicy(t *testing.T) {
	client := shared.connect(t)
	name := controlled(t, client)
	failed := make(chan error, 1)
	err := client.PublishAsync(timeLimit(t), name, []byte("x"), func(_ *lift.Ack, err error) { failed <- err },
		lift.AckPolicyNone(), lift.ExpectedOffset(0))
	must(t, err)
	if err := <-failed; err == nil || err.Error() != policyRequired {
		t.Fatalf("got error %v, want %q", err, policyRequired)
	}
}

func TestOfTwoPublishersExpectingOneOffsetExactlyOneWinsAndTheOtherCanFollow(t *testing.T) {
	clients := []lift.Client{shared.connect(t), shared.connect(t)}
	name := controlled(t, clients[0])
	publish(t, clients[0], name, []string{"first"}, lift.ExpectedOffset(0))

	errs := make([]error, len(clients))
	var both sync.WaitGroup
	for i, client := range clients {
		both.Add(1)
		go func() {
			defer both.Done()
			_, errs[i] = client.Publish(timeLimit(t), name, []byte("contended"), lift.ExpectedOffset(1))
		}()
	}
	both.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("exactly one must win, got %v and %v", errs[0], errs[1])
	}
	loser := clients[0]
	if errs[0] == nil {
		loser = clients[1]
	}
	partition, err := loser.FetchPartitionMetadata(timeLimit(t), name, 0)
	must(t, err)
	equal(t, partition.NewestOffset(), 1)
	ack, err := loser.Publish(timeLimit(t), name, []byte("again"), lift.ExpectedOffset(partition.NewestOffset()+1))
	must(t, err)
	equal(t, ack.Offset(), 2)
}

func TestAStreamWithoutControlIgnoresExpectedOffsets(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	ack, err := client.Publish(timeLimit(t), name, []byte("x"), lift.ExpectedOffset(100))
	must(t, err)
	equal(t, ack.Offset(), 0)
}
