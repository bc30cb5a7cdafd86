package liftbridge_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// patience bounds every wait for something that must happen; quiet is how long nothing must happen.
const (
	patience = 30 * time.Second
	quiet    = 300 * time.Millisecond
)

var (
	shared  *broker
	counter atomic.Int64
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "strandline-go-")
	if err != nil {
		return complain(err)
	}
	defer os.RemoveAll(dir)
	if shared, err = newBroker(dir, ""); err != nil {
		return complain(err)
	}
	if err := shared.start(); err != nil {
		return complain(err)
	}
	code := m.Run()
	if code != 0 {
		fmt.Printf("the shared broker's log ends:\n%s\n", shared.log())
	}
	if err := shared.stop(); err != nil && !upstream() {
		return complain(err)
	}
	return code
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// unique returns a name no other test uses.
func unique(prefix string) string { return fmt.Sprintf("%s-%d", prefix, counter.Add(1)) }

func timeLimit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// newStream creates a stream of a unique name; its subject is the name.
func newStream(t *testing.T, client lift.Client, options ...lift.StreamOption) string {
	t.Helper()
	name := unique("stream")
	must(t, client.CreateStream(timeLimit(t), name, name, options...))
	return name
}

// publish publishes values in turn and returns their acks.
func publish(t *testing.T, client lift.Client, stream string, values []string, options ...lift.MessageOption) []*lift.Ack {
	t.Helper()
	acks := make([]*lift.Ack, 0, len(values))
	for _, value := range values {
		ack, err := client.Publish(timeLimit(t), stream, []byte(value), options...)
		must(t, err)
		acks = append(acks, ack)
	}
	return acks
}

// numbered returns the values v0, v1, and so on.
func numbered(count int) []string {
	values := make([]string, count)
	for i := range values {
		values[i] = fmt.Sprintf("v%d", i)
	}
	return values
}

// subscription collects what a subscription delivers.
type subscription struct {
	messages chan *lift.Message
	ended    chan error
	cancel   context.CancelFunc
}

func subscribe(t *testing.T, client lift.Client, stream string, options ...lift.SubscriptionOption) *subscription {
	t.Helper()
	s, err := trySubscribe(t, client, stream, options...)
	must(t, err)
	return s
}

func trySubscribe(t *testing.T, client lift.Client, stream string, options ...lift.SubscriptionOption) (*subscription, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s := &subscription{messages: make(chan *lift.Message, 100_000), ended: make(chan error, 1), cancel: cancel}
	var once sync.Once
	err := client.Subscribe(ctx, stream, func(message *lift.Message, err error) {
		if err != nil {
			once.Do(func() { s.ended <- err })
			return
		}
		s.messages <- message
	}, options...)
	return s, err
}

func (s *subscription) next(t *testing.T) *lift.Message {
	t.Helper()
	select {
	case message := <-s.messages:
		return message
	case err := <-s.ended:
		s.ended <- err // for end; what came before the end is taken first
		select {
		case message := <-s.messages:
			return message
		default:
			t.Fatalf("the subscription ended instead of delivering: %v", err)
		}
	case <-time.After(patience):
		t.Fatalf("no message within %s", patience)
	}
	return nil
}

func (s *subscription) take(t *testing.T, count int) []*lift.Message {
	t.Helper()
	messages := make([]*lift.Message, count)
	for i := range messages {
		messages[i] = s.next(t)
	}
	return messages
}

// end waits for the error that ends the subscription, after all messages have been taken.
func (s *subscription) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.ended:
		if len(s.messages) != 0 {
			t.Fatalf("%d messages more than expected before the end", len(s.messages))
		}
		return err
	case <-time.After(patience):
		t.Fatalf("the subscription did not end within %s", patience)
	}
	return nil
}

func (s *subscription) expectNothing(t *testing.T) {
	t.Helper()
	select {
	case message := <-s.messages:
		t.Fatalf("unexpected message at offset %d: %q", message.Offset(), message.Value())
	case err := <-s.ended:
		t.Fatalf("unexpected end: %v", err)
	case <-time.After(quiet):
	}
}

func values(messages []*lift.Message) []string {
	out := make([]string, len(messages))
	for i, message := range messages {
		out[i] = string(message.Value())
	}
	return out
}

func offsets(messages []*lift.Message) []int64 {
	out := make([]int64, len(messages))
	for i, message := range messages {
		out[i] = message.Offset()
	}
	return out
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("not within %s: %s", patience, what)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func equalAll[T comparable](t *testing.T, got, want []T) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d (%v), want %d (%v)", len(got), got, len(want), want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("at %d: got %v, want %v", i, got[i], want[i])
		}
	}
}

func isError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}

// refused checks the status code of an error, and its text where clients look at that.
func refused(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted, want %s %q", code, text)
	}
	if got := status.Convert(err); got.Code() != code || (text != "" && got.Message() != text) {
		t.Fatalf("got %s %q, want %s %q", got.Code(), got.Message(), code, text)
	}
}
