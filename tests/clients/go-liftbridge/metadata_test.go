package liftbridge_test

import (
	"testing"
	"time"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
	"google.golang.org/grpc/codes"
)

func TestABrokerWithoutStreamsDescribesItself(t *testing.T) {
	b := ownBroker(t, "")
	client, err := lift.Connect([]string{b.grpc})
	must(t, err)
	defer client.Close()
	metadata, err := client.FetchMetadata(timeLimit(t))
	must(t, err)
	equal(t, len(metadata.Brokers()), 1)
	equal(t, metadata.Brokers()[0].Addr(), b.grpc)
	equalAll(t, metadata.Addrs(), []string{b.grpc})
	equal(t, len(metadata.Streams()), 0)
	if metadata.Brokers()[0].ID() == "" {
		t.Fatal("the broker has no id")
	}
}

func TestMetadataDescribesAStream(t *testing.T) {
	client := shared.connect(t)
	before := time.Now()
	name := newStream(t, client, lift.Partitions(3))
	publish(t, client, name, numbered(2), lift.ToPartition(1))

	metadata, err := client.FetchMetadata(timeLimit(t), lift.Streams([]string{name}))
	must(t, err)
	stream := metadata.GetStream(name)
	equal(t, stream.Name(), name)
	equal(t, stream.Subject(), name)
	equal(t, len(stream.Partitions()), 3)
	equal(t, metadata.PartitionCountForStream(name), 3)
	if age := stream.CreationTime().Sub(before); age < -time.Second || age > patience {
		t.Fatalf("the creation time is %s off", age)
	}
	id := metadata.Brokers()[0].ID()
	for number := range int32(3) {
		partition := stream.GetPartition(number)
		equal(t, partition.ID(), number)
		equal(t, partition.Leader().ID(), id)
		equal(t, len(partition.Replicas()), 1)
		equal(t, len(partition.ISR()), 1)
		equal(t, partition.Paused(), false)
		equal(t, partition.Readonly(), false)
	}
	if metadata.Broker(id) == nil {
		t.Fatal("the leader is not among the brokers")
	}
}

func TestPartitionCountsFollowStreams(t *testing.T) {
	differsFromLiftbridge(t, "the counts come from a cache of two minutes")
	b := ownBroker(t, "")
	client := b.connect(t)
	counts := func() [2]int32 {
		metadata, err := client.FetchMetadata(timeLimit(t))
		must(t, err)
		broker := metadata.Brokers()[0]
		return [2]int32{broker.PartitionCount(), broker.LeaderCount()}
	}
	before := counts()
	name := newStream(t, client, lift.Partitions(3))
	equal(t, counts(), [2]int32{before[0] + 3, before[1] + 3})
	must(t, client.DeleteStream(timeLimit(t), name))
	equal(t, counts(), before)
}

func TestPartitionMetadataFollowsTheLog(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	fetch := func() *lift.PartitionInfo {
		partition, err := client.FetchPartitionMetadata(timeLimit(t), name, 0)
		must(t, err)
		return partition
	}
	empty := fetch()
	equal(t, empty.NewestOffset(), -1)
	equal(t, empty.HighWatermark(), -1)
	equal(t, empty.MessagesReceivedTimestamps().FirstTime().IsZero(), true)

	publish(t, client, name, []string{"one"}, lift.AckPolicyAll())
	one := fetch()
	equal(t, one.NewestOffset(), 0)
	equal(t, one.HighWatermark(), 0)
	first := one.MessagesReceivedTimestamps().FirstTime()
	equal(t, one.MessagesReceivedTimestamps().LatestTime(), first)

	time.Sleep(2 * time.Millisecond)
	publish(t, client, name, []string{"two"}, lift.AckPolicyAll())
	two := fetch()
	equal(t, two.NewestOffset(), 1)
	equal(t, two.MessagesReceivedTimestamps().FirstTime(), first)
	equal(t, two.MessagesReceivedTimestamps().LatestTime().After(first), true)
}

func TestMetadataOfAnUnknownPartitionIsRefused(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	_, err := client.FetchPartitionMetadata(timeLimit(t), name, 9)
	if err == nil {
		t.Fatal("accepted")
	}
	_, err = client.FetchPartitionMetadata(timeLimit(t), unique("unknown"), 0)
	if err == nil {
		t.Fatal("accepted")
	}
}

func TestAClientMayChooseItsBrokerByLoadOrLatency(t *testing.T) {
	for _, choice := range []lift.ClientOption{
		lift.SetConnectToLowLatencyServer(), lift.SetConnectToLowWorkloadServer(),
		lift.MaxConnsPerBroker(4), lift.KeepAliveTime(time.Minute), lift.ReadBufferSize(1 << 16), lift.WriteBufferSize(1 << 16),
	} {
		client := shared.connect(t, choice)
		name := newStream(t, client)
		publish(t, client, name, numbered(2))
		equalAll(t, values(subscribe(t, client, name, lift.StartAtEarliestReceived()).take(t, 2)), numbered(2))
	}
}

func TestWhatLaterVersionsServeIsRefusedByName(t *testing.T) {
	differsFromLiftbridge(t, "it serves these")
	client := shared.connect(t)
	name := newStream(t, client)
	ctx := timeLimit(t)
	refused(t, client.PauseStream(ctx, name), codes.Unimplemented, "")
	refused(t, client.SetStreamReadonly(ctx, name), codes.Unimplemented, "")
	options := []lift.StreamOption{
		lift.AutoPauseTime(time.Minute),
	}
	for _, option := range options {
		refused(t, client.CreateStream(ctx, name, unique("stream"), option), codes.FailedPrecondition, "")
	}
	equal(t, publish(t, client, name, []string{"x"})[0].Offset(), 0)
}
