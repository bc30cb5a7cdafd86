package liftbridge_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
)

// authority signs certificates for one test.
type authority struct {
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	template := x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	a.certificate, a.key = a.issue(t, "ca", template)
	return a
}

// issue writes NAME.pem and NAME-key.pem.
func (a *authority) issue(t *testing.T, name string, template x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template.SerialNumber = big.NewInt(counter.Add(1))
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = &template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, &key.PublicKey, signer)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	writePEM(t, a.path(name), "CERTIFICATE", der)
	writePEM(t, a.path(name+"-key"), "PRIVATE KEY", secret)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return certificate, key
}

func (a *authority) issueLeaf(t *testing.T, name string, usage x509.ExtKeyUsage) {
	t.Helper()
	a.issue(t, name, x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	})
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name+".pem") }

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// refusal bounds how long the client repeats a handshake that is refused; one that is not takes milliseconds.
func refusal(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func publishesAndReads(t *testing.T, client lift.Client) {
	t.Helper()
	name := newStream(t, client)
	publish(t, client, name, numbered(3))
	equalAll(t, values(subscribe(t, client, name, lift.StartAtEarliestReceived()).take(t, 3)), numbered(3))
}

func TestAClientConnectsOverTLSAndNotWithoutIt(t *testing.T) {
	a := newAuthority(t)
	a.issueLeaf(t, "server", x509.ExtKeyUsageServerAuth)
	b := ownBroker(t, fmt.Sprintf("tls.cert: %s\ntls.key: %s\n", a.path("server"), a.path("server-key")))
	publishesAndReads(t, b.connect(t, lift.TLSCert(a.path("ca"))))

	if client, err := lift.ConnectCtx(refusal(t), []string{b.grpc}); err == nil {
		_ = client.Close()
		t.Fatal("a plaintext client was served")
	}
}

func TestMutualTLSAsksForTheClientsCertificate(t *testing.T) {
	a := newAuthority(t)
	a.issueLeaf(t, "server", x509.ExtKeyUsageServerAuth)
	a.issueLeaf(t, "client", x509.ExtKeyUsageClientAuth)
	b := ownBroker(t, fmt.Sprintf("tls.cert: %s\ntls.key: %s\ntls.client.auth.enabled: true\ntls.client.auth.ca: %s\n",
		a.path("server"), a.path("server-key"), a.path("ca")))
	own, err := tls.LoadX509KeyPair(a.path("client"), a.path("client-key"))
	must(t, err)
	publishesAndReads(t, b.connect(t, lift.TLSConfig(&tls.Config{RootCAs: a.pool(), Certificates: []tls.Certificate{own}})))

	if client, err := lift.ConnectCtx(refusal(t), []string{b.grpc}, lift.TLSConfig(&tls.Config{RootCAs: a.pool()})); err == nil {
		_ = client.Close()
		t.Fatal("a client without a certificate was served")
	}
}
