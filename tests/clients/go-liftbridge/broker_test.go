package liftbridge_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
	"github.com/nats-io/nats.go"
)

const (
	// startWait is how long a broker may take to serve, and stopWait how long to leave. Both only end a broken run.
	startWait = 60 * time.Second
	stopWait  = 30 * time.Second
)

// broker is a real process with a data directory of its own, started the way Liftbridge is.
type broker struct {
	grpc, nats string // addresses, kept over restarts
	dir        string
	extra      string // further lines of the configuration file
	process    *exec.Cmd
	exited     chan struct{}
}

// upstream says whether the suite runs against a real Liftbridge, to check the suite itself.
func upstream() bool { return os.Getenv("STRANDLINE_TEST_KIND") == "liftbridge" }

// differsFromLiftbridge skips a case whose behaviour Liftbridge lacks, naming what it does instead.
func differsFromLiftbridge(t *testing.T, instead string) {
	t.Helper()
	if upstream() {
		t.Skipf("liftbridge: %s", instead)
	}
}

// newBroker prepares a broker without starting it; extra is appended to its configuration file.
func newBroker(dir, extra string) (*broker, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	return &broker{
		grpc:  fmt.Sprintf("127.0.0.1:%d", ports[0]),
		nats:  fmt.Sprintf("127.0.0.1:%d", ports[1]),
		dir:   dir,
		extra: extra,
	}, nil
}

func (b *broker) start() error {
	binary := os.Getenv("STRANDLINE_TEST_BROKER")
	if binary == "" {
		return errors.New("STRANDLINE_TEST_BROKER is not set: run these tests through tests/run")
	}
	config, err := b.writeConfig()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(b.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	b.process = exec.Command(binary, "-c", config, "-d", filepath.Join(b.dir, "data"),
		"--embedded-nats", "--raft-bootstrap-seed")
	b.process.Stdout, b.process.Stderr = log, log
	b.process.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "STRANDLINE_") // the suites' own, no settings of a broker
	})
	if err := b.process.Start(); err != nil {
		return err
	}
	b.exited = make(chan struct{})
	go func(process *exec.Cmd, exited chan struct{}) {
		_ = process.Wait()
		close(exited)
	}(b.process, b.exited)
	return b.waitUntilListening()
}

func (b *broker) writeConfig() (string, error) {
	natsConfig := filepath.Join(b.dir, "nats.conf")
	if err := os.WriteFile(natsConfig, []byte("listen: "+b.nats+"\n"), 0o644); err != nil {
		return "", err
	}
	lines := fmt.Sprintf("listen: %s\nnats.embedded: true\nnats.embedded.config: %s\n", b.grpc, natsConfig)
	if upstream() {
		// It finds its own embedded server only when told where that is, and reports home unless told not to.
		lines += fmt.Sprintf("nats.servers: [\"nats://%s\"]\ntelemetry.enabled: false\n", b.nats)
	}
	config := filepath.Join(b.dir, "broker.yaml")
	return config, os.WriteFile(config, []byte(lines+b.extra), 0o644)
}

func (b *broker) waitUntilListening() error {
	for deadline := time.Now().Add(startWait); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-b.exited:
			return fmt.Errorf("the broker left while starting:\n%s", b.log())
		default:
		}
		if listens(b.grpc) && listens(b.nats) {
			return nil
		}
	}
	return fmt.Errorf("the broker did not listen within %s:\n%s", startWait, b.log())
}

// waitUntilServing returns once streams can be changed, which Liftbridge allows only after it has elected itself.
func (b *broker) waitUntilServing(client lift.Client) error {
	var err error
	for deadline := time.Now().Add(startWait); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err = client.DeleteStream(ctx, "no-such-stream")
		cancel()
		if errors.Is(err, lift.ErrNoSuchStream) {
			return nil
		}
	}
	return fmt.Errorf("the broker did not serve within %s: %w", startWait, err)
}

// stop asks the broker to leave and fails if it has to be killed.
func (b *broker) stop() error {
	if b.process == nil {
		return nil
	}
	if err := b.process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-b.exited:
		b.process = nil
		return nil
	case <-time.After(stopWait):
		b.kill()
		return fmt.Errorf("the broker did not stop within %s:\n%s", stopWait, b.log())
	}
}

func (b *broker) kill() {
	if b.process != nil {
		_ = b.process.Process.Kill()
		<-b.exited
		b.process = nil
	}
}

// log returns the end of what the broker has printed.
func (b *broker) log() string {
	text, _ := os.ReadFile(filepath.Join(b.dir, "log"))
	lines := strings.Split(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

func listens(addr string) bool {
	connection, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}

func freePorts(count int) ([]int, error) {
	ports := make([]int, 0, count)
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // all of them are held until the last is known, so that no two are equal
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// ownBroker starts a broker for this test alone and stops it afterwards.
func ownBroker(t *testing.T, extra string) *broker {
	t.Helper()
	b, err := newBroker(t.TempDir(), extra)
	if err == nil {
		err = b.start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the broker's log ends:\n%s", b.log())
		}
		b.kill()
	})
	return b
}

// connect returns a client of the broker, ready to change streams.
func (b *broker) connect(t *testing.T, options ...lift.ClientOption) lift.Client {
	t.Helper()
	client, err := lift.Connect([]string{b.grpc}, options...)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if err := b.waitUntilServing(client); err != nil {
		t.Fatal(err)
	}
	return client
}

func (b *broker) connectNATS(t *testing.T) *nats.Conn {
	t.Helper()
	connection, err := nats.Connect("nats://" + b.nats)
	if err != nil {
		t.Fatalf("connect to nats: %v", err)
	}
	t.Cleanup(connection.Close)
	return connection
}
