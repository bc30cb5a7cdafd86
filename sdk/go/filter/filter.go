// Package filter makes a filter of a function.
//
//	func judge(record *plugin.Record, settings *Settings) plugin.Verdict { … }
//
//	func init() { filter.Register(plugin.Needs{Value: plugin.Whole}, judge) }
//
//	func main() {}
package filter

import (
	"errors"

	"strandline/plugin"
	"strandline/plugin/internal/guest"
	"strandline/plugin/internal/reasons"
)

// Judge says of a record whether it passes. The verdict depends on nothing but the record and the settings.
type Judge[S any] func(record *plugin.Record, settings *S) plugin.Verdict

// Filter is a filter with the settings of an attachment.
type Filter struct {
	needs    plugin.Needs
	judge    func(*plugin.Record) plugin.Verdict
	verdicts []byte
}

var registered func(settings []byte) (*Filter, error)

// Register makes the function the filter that this module is. To be called once, in an init function.
func Register[S any](needs plugin.Needs, judge Judge[S]) {
	if registered != nil {
		panic("a module is one plugin: filter.Register is called once")
	}
	registered = func(settings []byte) (*Filter, error) { return New(needs, judge, settings) }
}

// New is the filter with these settings, a JSON text, for tests. The error is what an operator gets to see.
func New[S any](needs plugin.Needs, judge Judge[S], settings []byte) (*Filter, error) {
	typed, err := guest.Settings[S](settings)
	if err != nil {
		return nil, err
	}
	return &Filter{needs: needs, judge: func(record *plugin.Record) plugin.Verdict { return judge(record, typed) }}, nil
}

// Needs is what the filter reads of a record.
func (f *Filter) Needs() plugin.Needs {
	return f.needs
}

// Judge answers the contract's judge: a byte for each record of the packed batch, good until the next call. A
// malformed batch gets none, which the host takes for a failure.
func (f *Filter) Judge(batch []byte) []byte {
	f.verdicts = f.verdicts[:0]
	if _, ok := plugin.Records(batch, func(record *plugin.Record) {
		f.verdicts = append(f.verdicts, byte(f.judge(record)))
	}); !ok {
		plugin.Log(plugin.LevelError, "the host gave a malformed batch")
		return nil
	}
	return f.verdicts
}

// Explain answers the contract's explain: a text for each record of the packed batch.
func (f *Filter) Explain(batch []byte) []string {
	var texts []string
	if _, ok := plugin.Records(batch, func(record *plugin.Record) {
		texts = append(texts, reasons.Collect(func() { f.judge(record) }))
	}); !ok {
		return nil
	}
	return texts
}

var errNotRegistered = errors.New("the plugin registers no filter: its init function has to call filter.Register")
