package liftbridge_test

import (
	"fmt"
	"testing"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
	"github.com/nats-io/nats.go"
)

func TestAnEnvelopeOnNATSIsStoredAndAcked(t *testing.T) {
	client, connection := shared.connect(t), shared.connectNATS(t)
	name := newStream(t, client)
	inbox := nats.NewInbox()
	acks, err := connection.SubscribeSync(inbox)
	must(t, err)
	for i, policy := range []lift.MessageOption{lift.AckPolicyLeader(), lift.AckPolicyAll()} {
		message := lift.NewMessage([]byte("value"), lift.Key([]byte("key")), lift.Header("h", []byte("v")),
			lift.AckInbox(inbox), lift.CorrelationID("c1"), policy)
		must(t, connection.Publish(name, message))
		reply, err := acks.NextMsg(patience)
		must(t, err)
		ack, err := lift.UnmarshalAck(reply.Data)
		must(t, err)
		equal(t, ack.Stream(), name)
		equal(t, ack.Offset(), int64(i))
		equal(t, ack.CorrelationID(), "c1")
		equal(t, ack.AckInbox(), inbox)
		equal(t, ack.MessageSubject(), name)
	}
	message := subscribe(t, client, name, lift.StartAtEarliestReceived()).next(t)
	equal(t, string(message.Key()), "key")
	equal(t, string(message.Value()), "value")
	equal(t, string(message.Headers()["h"]), "v")
}

func TestAnEnvelopeWithoutPolicyIsNotAcked(t *testing.T) {
	client, connection := shared.connect(t), shared.connectNATS(t)
	name := newStream(t, client)
	inbox := nats.NewInbox()
	acks, err := connection.SubscribeSync(inbox)
	must(t, err)
	must(t, connection.Publish(name, lift.NewMessage([]byte("x"), lift.AckInbox(inbox), lift.AckPolicyNone())))
	subscribe(t, client, name, lift.StartAtEarliestReceived()).next(t)
	if _, err := acks.NextMsg(quiet); err == nil {
		t.Fatal("an ack came")
	}
}

func TestAnythingElseOnNATSIsStoredAsItIs(t *testing.T) {
	client, connection := shared.connect(t), shared.connectNATS(t)
	name := newStream(t, client)
	payloads := []string{"plain", "", "\xb9\x0e\x43\xb4", "\xb9\x0e\x43\xb4\x00\x08\x00\x01\x1a\x01x", "\xb9\x0e\x43\xb4\x01\x08\x00\x00"}
	for _, payload := range payloads {
		must(t, connection.PublishRequest(name, "some.reply", []byte(payload)))
	}
	messages := subscribe(t, client, name, lift.StartAtEarliestReceived()).take(t, len(payloads))
	for i, message := range messages {
		equal(t, message.Offset(), int64(i))
		equal(t, string(message.Value()), payloads[i])
		equal(t, len(message.Key()), 0)
		equal(t, message.Subject(), name)
		equal(t, message.ReplySubject(), "some.reply")
		equal(t, string(message.Headers()["subject"]), name)
		equal(t, string(message.Headers()["reply"]), "some.reply")
	}
}

func TestAnEnvelopeWhoseHeaderIsLongerThanItselfIsStoredAsItIs(t *testing.T) {
	differsFromLiftbridge(t, "the process ends")
	client, connection := shared.connect(t), shared.connectNATS(t)
	name := newStream(t, client)
	payload := "\xb9\x0e\x43\xb4\x00\xff\x00\x00x"
	must(t, connection.Publish(name, []byte(payload)))
	equal(t, string(subscribe(t, client, name, lift.StartAtEarliestReceived()).next(t).Value()), payload)
}

func TestAPlainSubscriberSeesTheEnvelopeOfAnAPIPublish(t *testing.T) {
	client, connection := shared.connect(t), shared.connectNATS(t)
	name := newStream(t, client)
	plain, err := connection.SubscribeSync(name)
	must(t, err)
	must(t, connection.Flush())
	_, err = client.Publish(timeLimit(t), name, []byte("value"), lift.Key([]byte("key")), lift.CorrelationID("c1"))
	must(t, err)
	received, err := plain.NextMsg(patience)
	must(t, err)
	message, err := lift.UnmarshalMessage(received.Data)
	must(t, err)
	equal(t, string(message.Key()), "key")
	equal(t, string(message.Value()), "value")
	if _, err := plain.NextMsg(quiet); err == nil {
		t.Fatal("it came twice")
	}
}

func TestPublishToSubjectReachesEveryStreamOnIt(t *testing.T) {
	client := shared.connect(t)
	subject := unique("subject")
	names := []string{unique("stream"), unique("stream")}
	for _, name := range names {
		must(t, client.CreateStream(timeLimit(t), subject, name))
	}
	ack, err := client.PublishToSubject(timeLimit(t), subject, []byte("x"), lift.Key([]byte("k")), lift.CorrelationID("c"))
	must(t, err)
	equal(t, ack.Offset(), 0)
	equal(t, ack.MessageSubject(), subject)
	equal(t, ack.CorrelationID(), "c")
	for _, name := range names {
		message := subscribe(t, client, name, lift.StartAtEarliestReceived()).next(t)
		equal(t, string(message.Value()), "x")
		equal(t, string(message.Key()), "k")
	}
}

func TestPublishToASubjectWithoutStreamsTimesOut(t *testing.T) {
	client := shared.connect(t, lift.AckWaitTime(quiet))
	_, err := client.PublishToSubject(t.Context(), unique("subject"), []byte("x"))
	isError(t, err, lift.ErrAckTimeout)
	ack, err := client.PublishToSubject(t.Context(), unique("subject"), []byte("x"), lift.AckPolicyNone())
	must(t, err)
	if ack != nil {
		t.Fatalf("unexpected ack of stream %q", ack.Stream())
	}
}

func TestAWildcardStreamTakesWhatMatches(t *testing.T) {
	client, connection := shared.connect(t), shared.connectNATS(t)
	root := unique("wild")
	star, tail := unique("stream"), unique("stream")
	must(t, client.CreateStream(timeLimit(t), root+".*", star))
	must(t, client.CreateStream(timeLimit(t), root+".>", tail))
	for _, subject := range []string{root + ".a", root + ".a.b", root} {
		must(t, connection.Publish(subject, []byte(subject)))
	}
	must(t, connection.Flush())
	_, err := client.PublishToSubject(timeLimit(t), root+".c", []byte(root+".c"))
	must(t, err)

	s := subscribe(t, client, star, lift.StartAtEarliestReceived())
	equalAll(t, values(s.take(t, 2)), []string{root + ".a", root + ".c"})
	s.expectNothing(t)
	s = subscribe(t, client, tail, lift.StartAtEarliestReceived())
	for _, message := range s.take(t, 3) {
		equal(t, message.Subject(), string(message.Value()))
	}
	s.expectNothing(t)
}

func TestStreamsOfAGroupShareTheirSubject(t *testing.T) {
	const count = 200
	client, connection := shared.connect(t), shared.connectNATS(t)
	subject := unique("subject")
	members := []string{unique("member"), unique("member")}
	for _, name := range members {
		must(t, client.CreateStream(timeLimit(t), subject, name, lift.Group("workers")))
	}
	alone := unique("stream")
	must(t, client.CreateStream(timeLimit(t), subject, alone))
	for i := range count {
		must(t, connection.Publish(subject, []byte(fmt.Sprint(i))))
	}
	must(t, connection.Flush())

	subscribe(t, client, alone, lift.StartAtEarliestReceived()).take(t, count)
	seen := map[string]bool{}
	eventually(t, "the members have stored every message between them", func() bool {
		clear(seen)
		for _, name := range members {
			partition, err := client.FetchPartitionMetadata(timeLimit(t), name, 0)
			must(t, err)
			if partition.HighWatermark() < 0 {
				continue
			}
			s := subscribe(t, client, name, lift.StartAtEarliestReceived())
			for _, message := range s.take(t, int(partition.HighWatermark()+1)) {
				if seen[string(message.Value())] {
					t.Fatalf("message %s is stored twice", message.Value())
				}
				seen[string(message.Value())] = true
			}
			s.cancel()
		}
		return len(seen) == count
	})
}

func TestPartitionsOfAStreamHaveSubjectsOfTheirOwn(t *testing.T) {
	client, connection := shared.connect(t), shared.connectNATS(t)
	name := newStream(t, client, lift.Partitions(3))
	for partition, subject := range []string{name, name + ".1", name + ".2"} {
		must(t, connection.Publish(subject, []byte(subject)))
		message := subscribe(t, client, name, lift.Partition(int32(partition)), lift.StartAtEarliestReceived()).next(t)
		equal(t, string(message.Value()), subject)
		equal(t, message.Subject(), subject)
	}
}
