package liftbridge_test

import (
	"strings"
	"testing"
	"time"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
	"google.golang.org/grpc/codes"
)

func TestAStreamIsCreatedOnce(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	isError(t, client.CreateStream(timeLimit(t), name, name), lift.ErrStreamExists)
	isError(t, client.CreateStream(timeLimit(t), "another."+name, name), lift.ErrStreamExists)
}

func TestSeveralStreamsMayShareASubject(t *testing.T) {
	client := shared.connect(t)
	subject := unique("subject")
	must(t, client.CreateStream(timeLimit(t), subject, unique("stream")))
	must(t, client.CreateStream(timeLimit(t), subject, unique("stream")))
}

func TestReservedNamesAreRefused(t *testing.T) {
	client := shared.connect(t)
	for _, name := range []string{"__cursors", "__activity"} {
		refused(t, client.CreateStream(timeLimit(t), "foo", name), codes.InvalidArgument, "Stream is reserved")
		refused(t, client.DeleteStream(timeLimit(t), name), codes.InvalidArgument, "Stream is reserved")
	}
}

func TestAnEmptyNameOrSubjectIsRefused(t *testing.T) {
	client := shared.connect(t)
	refused(t, client.CreateStream(timeLimit(t), "foo", ""), codes.InvalidArgument, "Name cannot be empty")
	refused(t, client.CreateStream(timeLimit(t), "", unique("stream")), codes.InvalidArgument, "")
}

func TestAnInvalidSubjectIsRefused(t *testing.T) {
	differsFromLiftbridge(t, "the process ends on some of these")
	client := shared.connect(t)
	subjects := []string{"a b", "a\tb", "a\r\nb", "a..b", ".a", "a.", "a.>.b", strings.Repeat("a", 10_000)}
	for _, subject := range subjects {
		refused(t, client.CreateStream(timeLimit(t), subject, unique("stream")), codes.InvalidArgument, "")
	}
	must(t, client.CreateStream(timeLimit(t), unique("subject"), unique("stream")))
}

func TestNamesLikePathsNeverLeaveTheDataDirectory(t *testing.T) {
	differsFromLiftbridge(t, "it writes outside of the data directory")
	client := shared.connect(t)
	for _, name := range []string{"../escape", "a/b", "..", ".", "a\x00b", strings.Repeat("n", 70_000)} {
		refused(t, client.CreateStream(timeLimit(t), unique("subject"), name), codes.InvalidArgument, "")
	}
}

func TestReplicationAboveTheClusterSizeIsRefused(t *testing.T) {
	client := shared.connect(t)
	err := client.CreateStream(timeLimit(t), "foo", unique("stream"), lift.ReplicationFactor(2))
	if upstream() {
		refused(t, err, codes.InvalidArgument, "Invalid replicationFactor 2, cluster size 1")
		return
	}
	// Replication as such is what is missing, whatever the size of the cluster.
	refused(t, err, codes.FailedPrecondition, "")
}

func TestMaxReplicationMeansEveryBroker(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client, lift.MaxReplication())
	partition, err := client.FetchPartitionMetadata(timeLimit(t), name, 0)
	must(t, err)
	equal(t, len(partition.Replicas()), 1)
	equal(t, len(partition.ISR()), 1)
	equal(t, partition.Leader().ID(), partition.Replicas()[0].ID())
}

func TestEveryOptionOfAStreamIsTaken(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client,
		lift.Group("workers"),
		lift.Partitions(2),
		lift.ReplicationFactor(1),
		lift.RetentionMaxBytes(1<<20),
		lift.RetentionMaxMessages(1000),
		lift.RetentionMaxAge(time.Hour),
		lift.CleanerInterval(time.Minute),
		lift.SegmentMaxBytes(64<<10),
		lift.SegmentMaxAge(time.Minute),
		lift.CompactEnabled(true),
		lift.CompactMaxGoroutines(2),
		lift.AutoPauseTime(0),
		lift.AutoPauseDisableIfSubscribers(false),
		lift.MinISR(1),
		lift.OptimisticConcurrencyControl(true),
		lift.Encryption(false),
	)
	ack, err := client.Publish(timeLimit(t), name, []byte("x"), lift.ToPartition(1), lift.ExpectedOffset(0))
	must(t, err)
	equal(t, ack.Offset(), 0)
}

func TestAnEncryptedStreamWithoutAKeyIsRefused(t *testing.T) {
	client := shared.connect(t)
	err := client.CreateStream(timeLimit(t), "foo", unique("stream"), lift.Encryption(true))
	refused(t, err, codes.FailedPrecondition, "")
}

func TestADeletedStreamIsGoneAndItsNameIsFree(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	publish(t, client, name, numbered(3))
	must(t, client.DeleteStream(timeLimit(t), name))
	isError(t, client.DeleteStream(timeLimit(t), name), lift.ErrNoSuchStream)

	must(t, client.CreateStream(timeLimit(t), name, name))
	ack := publish(t, client, name, []string{"fresh"})[0]
	equal(t, ack.Offset(), 0)
	message := subscribe(t, client, name, lift.StartAtEarliestReceived()).next(t)
	equal(t, string(message.Value()), "fresh")
}

func TestDeletingAStreamEndsItsSubscriptions(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client)
	publish(t, client, name, []string{"x"})
	s := subscribe(t, client, name, lift.StartAtEarliestReceived())
	s.next(t)
	must(t, client.DeleteStream(timeLimit(t), name))
	isError(t, s.end(t), lift.ErrStreamDeleted)
}

func TestRetentionKeepsWhatItsLimitSays(t *testing.T) {
	cases := []struct {
		name   string
		limit  lift.StreamOption
		oldest int64
	}{
		{"bytes", lift.RetentionMaxBytes(100), 9},
		{"messages", lift.RetentionMaxMessages(5), 5},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			client := shared.connect(t)
			// One message fills a segment, so that each can go alone.
			name := newStream(t, client, c.limit, lift.SegmentMaxBytes(1), lift.CleanerInterval(100*time.Millisecond))
			publish(t, client, name, numbered(10))
			eventually(t, "old segments are removed", func() bool {
				return firstDuringRetention(t, client, name, lift.StartAtEarliestReceived()) == c.oldest
			})
			// An offset that is no longer kept starts at the oldest one.
			s := subscribe(t, client, name, lift.StartAtOffset(0), lift.StopAtLatestReceived())
			equal(t, s.next(t).Offset(), c.oldest)
		})
	}
}

func TestRetentionByAgeLeavesNothingOldButTheNewestSegment(t *testing.T) {
	client := shared.connect(t)
	name := newStream(t, client, lift.RetentionMaxAge(time.Millisecond), lift.SegmentMaxBytes(1),
		lift.CleanerInterval(50*time.Millisecond))
	publish(t, client, name, numbered(10))
	eventually(t, "old segments are removed", func() bool {
		newest := publish(t, client, name, []string{"newest"}, lift.AckPolicyAll())[0].Offset()
		switch first := firstDuringRetention(t, client, name, lift.StartAtOffset(newest)); first {
		case newest:
			return firstDuringRetention(t, client, name, lift.StartAtOffset(0), lift.StopAtOffset(newest)) >= 9
		case unread:
			return false
		default:
			t.Fatalf("the newest message is gone: got %d, want %d", first, newest)
			return false
		}
	})
}

const unread = -1

// firstDuringRetention returns the first offset that a subscription delivers. It is unread where Liftbridge ends the
// subscription because the segment it reads is being removed; ours never does.
func firstDuringRetention(t *testing.T, client lift.Client, stream string, options ...lift.SubscriptionOption) int64 {
	t.Helper()
	s, err := trySubscribe(t, client, stream, options...)
	if err == nil {
		defer s.cancel()
		select {
		case message := <-s.messages:
			return message.Offset()
		case err = <-s.ended:
			select {
			case message := <-s.messages: // it came before the end
				return message.Offset()
			default:
			}
		case <-time.After(patience):
			t.Fatalf("no message within %s", patience)
		}
	}
	if !upstream() {
		t.Fatal(err)
	}
	return unread
}
