package liftbridge_test

import (
	"testing"
	"time"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
)

func TestSubscribingToAnUnknownStreamOrPartitionIsRefused(t *testing.T) {
	client := shared.connect(t)
	for _, partition := range []int32{0, 1} {
		name := unique("unknown")
		if partition == 1 {
			name = newStream(t, client)
		}
		// The client looks both up in the metadata and does not ask further for what is not there.
		if _, err := trySubscribe(t, client, name, lift.Partition(partition)); err == nil {
			t.Fatalf("subscribed to partition %d of %q", partition, name)
		}
	}
}

func TestASubscriptionStartsWhereItSays(t *testing.T) {
	cases := []struct {
		name  string
		start lift.SubscriptionOption
		first int64 // of a stream of 5 messages; the next message is published after subscribing
	}{
		{"earliest", lift.StartAtEarliestReceived(), 0},
		{"latest", lift.StartAtLatestReceived(), 4},
		{"new only", lift.StartAtNewOnly(), 5},
		{"an offset", lift.StartAtOffset(3), 3},
		{"the next offset", lift.StartAtOffset(5), 5},
		{"an offset beyond the end waits for the next message", lift.StartAtOffset(100), 5},
		{"a negative offset is the first", lift.StartAtOffset(-7), 0},
		{"a time before everything", lift.StartAtTime(time.Unix(1, 0)), 0},
		{"a time span before everything", lift.StartAtTimeDelta(time.Hour), 0},
		{"a time after everything", lift.StartAtTime(time.Now().Add(time.Hour)), 5},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			client := shared.connect(t)
			name := newStream(t, client)
			publish(t, client, name, numbered(5))
			s := subscribe(t, client, name, c.start)
			publish(t, client, name, []string{"v5"})
			for offset := c.first; offset <= 5; offset++ {
				message := s.next(t)
				equal(t, message.Offset(), offset)
				equal(t, string(message.Value()), append(numbered(5), "v5")[offset])
			}
			s.expectNothing(t)
		})
	}
}

func TestAnyOffsetOfAnEmptyStreamWaitsForTheFirstMessage(t *testing.T) {
	client := shared.connect(t)
	for _, start := range []lift.SubscriptionOption{
		lift.StartAtOffset(0), lift.StartAtOffset(50), lift.StartAtEarliestReceived(), lift.StartAtLatestReceived(),
		lift.StartAtNewOnly(), lift.StartAtTime(time.Unix(1, 0)),
	} {
		name := newStream(t, client)
		s := subscribe(t, client, name, start)
		s.expectNothing(t)
		publish(t, client, name, []string{"first"})
		equal(t, s.next(t).Offset(), 0)
	}
}

func TestASubscriptionStopsWhereItSays(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	publish(t, client, name, numbered(5))
	cases := []struct {
		name        string
		stop        lift.SubscriptionOption
		first, last int64
	}{
		{"at an offset", lift.StopAtOffset(2), 0, 2},
		{"at an offset that is the start", lift.StopAtOffset(0), 0, 0},
		{"at the latest", lift.StopAtLatestReceived(), 0, 4},
		{"at a time after everything", lift.StopAtTime(time.Now()), 0, 4},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := subscribe(t, client, name, lift.StartAtOffset(c.first), c.stop)
			for offset := c.first; offset <= c.last; offset++ {
				equal(t, s.next(t).Offset(), offset)
			}
			isError(t, s.end(t), lift.ErrReadonlyPartition)
		})
	}
}

func TestAStopOffsetThatIsNotThereYetIsWaitedFor(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	publish(t, client, name, numbered(2))
	s := subscribe(t, client, name, lift.StartAtEarliestReceived(), lift.StopAtOffset(2))
	s.take(t, 2)
	s.expectNothing(t)
	publish(t, client, name, []string{"last"})
	equal(t, string(s.next(t).Value()), "last")
	isError(t, s.end(t), lift.ErrReadonlyPartition)
}

func TestTimestampsAreInclusiveOnBothEnds(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	for _, value := range numbered(5) {
		publish(t, client, name, []string{value})
		time.Sleep(2 * time.Millisecond) // no two messages share a timestamp
	}
	times := subscribe(t, client, name, lift.StartAtEarliestReceived()).take(t, 5)
	s := subscribe(t, client, name, lift.StartAtTime(times[1].Timestamp()), lift.StopAtTime(times[3].Timestamp()))
	equalAll(t, offsets(s.take(t, 3)), []int64{1, 2, 3})
	isError(t, s.end(t), lift.ErrReadonlyPartition)

	between := times[2].Timestamp().Add(-time.Microsecond)
	equal(t, subscribe(t, client, name, lift.StartAtTime(between)).next(t).Offset(), 2)
	s = subscribe(t, client, name, lift.StartAtEarliestReceived(), lift.StopAtTime(between))
	equalAll(t, offsets(s.take(t, 2)), []int64{0, 1})
	isError(t, s.end(t), lift.ErrReadonlyPartition)
}

func TestStoppingBeforeTheStartIsRefused(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	publish(t, client, name, numbered(5))
	_, err := trySubscribe(t, client, name, lift.StartAtOffset(3), lift.StopAtOffset(1))
	if err == nil {
		t.Fatal("accepted")
	}
}

func TestStoppingAtTheLatestOfAnEmptyStreamEndsAtOnce(t *testing.T) {
	client := shared.connect(t)
	s, err := trySubscribe(t, client, newStream(t, client), lift.StopAtLatestReceived())
	if err == nil {
		err = s.end(t)
	}
	isError(t, err, lift.ErrReadonlyPartition)
}

func TestAFollowerOfTheLeaderMayAskForAnyReplica(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	publish(t, client, name, numbered(2))
	s := subscribe(t, client, name, lift.StartAtEarliestReceived(), lift.ReadISRReplica(), lift.Resume())
	equalAll(t, values(s.take(t, 2)), numbered(2))
}

func TestACancelledSubscriptionDeliversNothingMore(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	s := subscribe(t, client, name)
	publish(t, client, name, []string{"seen"})
	s.next(t)
	s.cancel()
	publish(t, client, name, []string{"unseen"})
	select {
	case message := <-s.messages:
		t.Fatalf("delivered %q", message.Value())
	case <-time.After(quiet):
	}
}

func TestManySubscribersEachSeeEverything(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	early := make([]*subscription, 20)
	for i := range early {
		early[i] = subscribe(t, client, name)
	}
	publish(t, client, name, numbered(50))
	late := subscribe(t, client, name, lift.StartAtEarliestReceived())
	for _, s := range append(early, late) {
		equalAll(t, values(s.take(t, 50)), numbered(50))
	}
}
