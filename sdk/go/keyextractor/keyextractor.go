// Package keyextractor makes a key extractor of a function.
//
//	func key(record *plugin.Record, settings *Settings) ([]byte, error) { … }
//
//	func init() { keyextractor.Register(plugin.Needs{Subject: true}, key) }
//
//	func main() {}
package keyextractor

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"strandline/plugin"
	"strandline/plugin/internal/guest"
)

// Key says which bytes are the key of a record that came without one: bytes of the record, which costs nothing, or
// others, which are copied. nil leaves the record without a key; an error lets the error policy of the attachment
// decide.
type Key[S any] func(record *plugin.Record, settings *S) ([]byte, error)

// Extractor is a key extractor with the settings of an attachment.
type Extractor struct {
	needs    plugin.Needs
	key      func(*plugin.Record) ([]byte, error)
	spans    []byte
	literals []byte
}

var registered func(settings []byte) (*Extractor, error)

// Register makes the function the key extractor that this module is. To be called once, in an init function.
func Register[S any](needs plugin.Needs, key Key[S]) {
	if registered != nil {
		panic("a module is one plugin: keyextractor.Register is called once")
	}
	registered = func(settings []byte) (*Extractor, error) { return New(needs, key, settings) }
}

// New is the key extractor with these settings, a JSON text, for tests. The error is what an operator gets to see.
func New[S any](needs plugin.Needs, key Key[S], settings []byte) (*Extractor, error) {
	typed, err := guest.Settings[S](settings)
	if err != nil {
		return nil, err
	}
	return &Extractor{needs: needs, key: func(record *plugin.Record) ([]byte, error) { return key(record, typed) }}, nil
}

// Needs is what the key extractor reads of a record.
func (e *Extractor) Needs() plugin.Needs {
	return e.needs
}

// Extract answers the contract's extract, good until the next call: a span of 8 bytes for each record of the packed
// batch, and the keys that do not stand in it. A malformed batch gets none, which the host takes for a failure.
func (e *Extractor) Extract(batch []byte) []byte {
	e.spans, e.literals = e.spans[:0], e.literals[:0]
	if _, ok := plugin.Records(batch, func(record *plugin.Record) { e.extract(batch, record) }); !ok {
		plugin.Log(plugin.LevelError, "the host gave a malformed batch")
		return nil
	}
	e.spans = append(e.spans, e.literals...)
	return e.spans
}

func (e *Extractor) extract(batch []byte, record *plugin.Record) {
	key, err := e.key(record)
	switch {
	case err != nil:
		plugin.Log(plugin.LevelWarn, "no key can be told: "+err.Error())
		e.span(^uint32(0), 0)
	case key == nil:
		e.span(^uint32(0), ^uint32(0))
	default:
		start, within := place(batch, key)
		if !within {
			start = len(batch) + len(e.literals)
			e.literals = append(e.literals, key...)
		}
		e.span(uint32(start), uint32(start+len(key)))
	}
}

func (e *Extractor) span(start, end uint32) {
	e.spans = binary.LittleEndian.AppendUint32(e.spans, start)
	e.spans = binary.LittleEndian.AppendUint32(e.spans, end)
}

// place is where in the batch the key stands, if it does.
func place(batch, key []byte) (start int, within bool) {
	first := uintptr(unsafe.Pointer(unsafe.SliceData(batch)))
	at := uintptr(unsafe.Pointer(unsafe.SliceData(key)))
	if at < first || at-first > uintptr(len(batch)) || uintptr(len(key)) > uintptr(len(batch))-(at-first) {
		return 0, false
	}
	return int(at - first), true
}

var errNotRegistered = errors.New("the plugin registers no key extractor: its init function has to call keyextractor.Register")
