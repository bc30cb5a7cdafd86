// Package plugintest makes records to try a plugin with, and the packed batches that a host would make of them.
package plugintest

import (
	"encoding/binary"

	"strandline/plugin"
	"strandline/plugin/filter"
	"strandline/plugin/keyextractor"
)

// Record is a record to try a plugin with.
type Record struct {
	// Key is nil for a record without one.
	Key     []byte
	Subject string
	Headers []Header
	Value   []byte
}

// Header is a header of a record.
type Header struct {
	Name  string
	Value []byte
}

// Judge is the verdicts of a filter on records.
func Judge(f *filter.Filter, records ...Record) []plugin.Verdict {
	var verdicts []plugin.Verdict
	for _, verdict := range f.Judge(Pack(f.Needs(), records...)) {
		verdicts = append(verdicts, plugin.Verdict(verdict))
	}
	return verdicts
}

// Reason is why a filter does not pass a record.
func Reason(f *filter.Filter, record Record) string {
	return f.Explain(Pack(f.Needs(), record))[0]
}

// Extracted is what a key extractor says of a record.
type Extracted struct {
	// Key is nil where the record gets none.
	Key []byte
	// Failed says that the error policy of the attachment decides.
	Failed bool
}

// Extract is what a key extractor says of records.
func Extract(e *keyextractor.Extractor, records ...Record) []Extracted {
	batch := Pack(e.Needs(), records...)
	answer := e.Extract(batch)
	spans := answer[:8*len(records)]
	text := append(batch[:len(batch):len(batch)], answer[len(spans):]...)
	var extracted []Extracted
	for ; len(spans) > 0; spans = spans[8:] {
		start, end := binary.LittleEndian.Uint32(spans), binary.LittleEndian.Uint32(spans[4:])
		switch none := ^uint32(0); {
		case start == none && end == none:
			extracted = append(extracted, Extracted{})
		case start == none && end == 0:
			extracted = append(extracted, Extracted{Failed: true})
		default:
			extracted = append(extracted, Extracted{Key: text[start:end:end]})
		}
	}
	return extracted
}

// Pack is the batch that a host makes of records for a plugin with these needs. Its layout is in
// docs/plugin-contract.md.
func Pack(needs plugin.Needs, records ...Record) []byte {
	batch := words(nil, len(records), fixedBytes)
	for _, record := range records {
		batch = record.pack(needs, batch)
	}
	return batch
}

const (
	fixedBytes = 24
	noKey      = 1<<32 - 1
)

func (r Record) pack(needs plugin.Needs, batch []byte) []byte {
	var key, subject, headers, value []byte
	if needs.Key {
		key = r.Key
	}
	if needs.Subject {
		subject = []byte(r.Subject)
	}
	if needs.Headers {
		for _, header := range r.Headers {
			headers = words(headers, len(header.Name), len(header.Value))
			headers = append(append(headers, header.Name...), header.Value...)
		}
	}
	switch kind, prefix := needs.Value.Words(); kind {
	case 1:
		value = r.Value[:min(len(r.Value), int(prefix))]
	case 2:
		value = r.Value
	}
	keyLen := len(key)
	if r.Key == nil {
		keyLen = noKey
	}
	length := fixedBytes + len(key) + len(subject) + len(headers) + len(value)
	batch = words(batch, length, keyLen, len(subject), len(headers), len(value), len(r.Value))
	for _, part := range [][]byte{key, subject, headers, value} {
		batch = append(batch, part...)
	}
	return batch
}

func words(bytes []byte, lengths ...int) []byte {
	for _, length := range lengths {
		bytes = binary.LittleEndian.AppendUint32(bytes, uint32(length))
	}
	return bytes
}
