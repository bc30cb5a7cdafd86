// Package plugin is what filters and key extractors for Strandline, a durable message log for NATS, share: the record,
// the verdict, what is needed of a record, and the log.
//
// A filter registers its function with package filter, a key extractor with package keyextractor; package plugintest
// tries them in plain go test.
package plugin

import (
	"encoding/binary"
	"iter"
	"strings"
	"unsafe"
)

// Record is a record as a plugin sees it. Only what the plugin needs is there. Its bytes are those of the batch, so
// they are good until the function returns.
type Record struct {
	// Key is nil where the record has none; one that is not needed is empty.
	Key []byte
	// Subject is the NATS subject that the message arrived on.
	Subject string
	// Value is as much of the value as is needed.
	Value []byte
	// ValueLen is the length of the whole value in bytes, whatever is needed of it.
	ValueLen int

	headers []byte
}

// Token returns a token of the subject, counted from 0, or "" where it has fewer.
func (r *Record) Token(index int) string {
	rest := r.Subject
	for ; index > 0; index-- {
		_, after, found := strings.Cut(rest, ".")
		if !found {
			return ""
		}
		rest = after
	}
	token, _, _ := strings.Cut(rest, ".")
	return token
}

// Headers returns names and values of the headers, in the order in which they were sent.
func (r *Record) Headers() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for rest := r.headers; len(rest) >= 8; {
			name, value := binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[4:])
			rest = rest[8:]
			if uint64(name)+uint64(value) > uint64(len(rest)) {
				return
			}
			if !yield(text(rest[:name]), rest[name:name+value]) {
				return
			}
			rest = rest[name+value:]
		}
	}
}

// Header returns the value of the first header of that name. Case matters, as it does to NATS.
func (r *Record) Header(name string) (value []byte, found bool) {
	for header, value := range r.Headers() {
		if header == name {
			return value, true
		}
	}
	return nil, false
}

// text is the bytes as a string, without a copy: the batch does not change while a plugin has it.
func text(bytes []byte) string {
	return unsafe.String(unsafe.SliceData(bytes), len(bytes))
}
