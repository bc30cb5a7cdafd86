package liftbridge_test

import (
	"fmt"
	"testing"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
	"google.golang.org/grpc/codes"
)

// cursorBroker starts a broker that keeps cursors in three partitions, so that the client has to find the right one.
func cursorBroker(t *testing.T) *broker {
	t.Helper()
	return ownBroker(t, "cursors.stream.partitions: 3\n")
}

func TestACursorIsWhatWasStoredLast(t *testing.T) {
	client := cursorBroker(t).connect(t)
	fetch := func(id string, partition int32) int64 {
		offset, err := client.FetchCursor(timeLimit(t), id, "foo", partition)
		must(t, err)
		return offset
	}
	equal(t, fetch("abc", 2), -1)
	for _, offset := range []int64{5, 10} {
		must(t, client.SetCursor(timeLimit(t), "abc", "foo", 2, offset))
		equal(t, fetch("abc", 2), offset)
	}
	equal(t, fetch("abc", 1), -1)
	equal(t, fetch("def", 2), -1)
	// They spread over the partitions, and each is found again.
	for i := range int32(50) {
		must(t, client.SetCursor(timeLimit(t), fmt.Sprintf("c%d", i), "foo", i, int64(i)))
	}
	for i := range int32(50) {
		equal(t, fetch(fmt.Sprintf("c%d", i), i), int64(i))
	}
}

func TestACursorSurvivesAKill(t *testing.T) {
	differsFromLiftbridge(t, "a cursor that it has answered and not checkpointed may be gone")
	b := cursorBroker(t)
	client := b.connect(t)
	must(t, client.SetCursor(timeLimit(t), "abc", "foo", 0, 7))
	b.kill()
	must(t, b.start())
	client = b.connect(t)
	offset, err := client.FetchCursor(timeLimit(t), "abc", "foo", 0)
	must(t, err)
	equal(t, offset, 7)
}

func TestACursorNeedsAnIdAndAStream(t *testing.T) {
	client := cursorBroker(t).connect(t)
	refused(t, client.SetCursor(timeLimit(t), "", "foo", 0, 1), codes.InvalidArgument, "")
	_, err := client.FetchCursor(timeLimit(t), "abc", "", 0)
	refused(t, err, codes.InvalidArgument, "")
}

func TestTheStreamOfCursorsIsListedAndReserved(t *testing.T) {
	client := cursorBroker(t).connect(t)
	metadata, err := client.FetchMetadata(timeLimit(t))
	must(t, err)
	equal(t, len(metadata.GetStream("__cursors").Partitions()), 3)
	if err := client.DeleteStream(timeLimit(t), "__cursors"); err == nil {
		t.Fatal("deleted")
	}
	if err := client.CreateStream(timeLimit(t), "x", "__cursors", lift.Partitions(1)); err == nil {
		t.Fatal("created")
	}
}
