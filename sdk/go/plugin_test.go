package plugin_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"testing"

	"strandline/plugin"
	"strandline/plugin/filter"
	"strandline/plugin/keyextractor"
	"strandline/plugin/plugintest"
)

type none struct{}

var everything = plugin.Needs{Key: true, Subject: true, Headers: true, Value: plugin.Whole}

func TestARecordShowsAllOfItsParts(t *testing.T) {
	judge := func(record *plugin.Record, _ *none) plugin.Verdict {
		var names []string
		for name := range record.Headers() {
			names = append(names, name)
		}
		value, found := record.Header("x")
		_, missing := record.Header("X")
		return plugin.PassIf(string(record.Key) == "k" && record.Subject == "a.b" && record.Token(1) == "b" &&
			record.Token(2) == "" && slices.Equal(names, []string{"x", "x"}) && found && !missing &&
			string(value) == "1" && string(record.Value) == "value" && record.ValueLen == 5)
	}
	made, err := filter.New(everything, judge, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	record := plugintest.Record{
		Key:     []byte("k"),
		Subject: "a.b",
		Headers: []plugintest.Header{{Name: "x", Value: []byte("1")}, {Name: "x", Value: []byte("2")}},
		Value:   []byte("value"),
	}
	got := plugintest.Judge(made, record, plugintest.Record{})
	if !slices.Equal(got, []plugin.Verdict{plugin.Pass, plugin.Drop}) {
		t.Errorf("verdicts are %v", got)
	}
}

func TestWhatIsNotNeededIsEmpty(t *testing.T) {
	judge := func(record *plugin.Record, _ *none) plugin.Verdict {
		return plugin.PassIf(record.Key != nil && len(record.Key) == 0 && record.Subject == "" &&
			string(record.Value) == "va" && record.ValueLen == 5)
	}
	made, err := filter.New(plugin.Needs{Value: plugin.Prefix(2)}, judge, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	record := plugintest.Record{Key: []byte("k"), Subject: "a.b", Value: []byte("value")}
	if got := plugintest.Judge(made, record); got[0] != plugin.Pass {
		t.Errorf("the verdict is %v", got)
	}
}

func TestKeysAreSpansWhereTheyStandInTheBatchAndLiteralsElsewhere(t *testing.T) {
	key := func(record *plugin.Record, _ *none) ([]byte, error) {
		switch string(record.Value) {
		case "none":
			return nil, nil
		case "fail":
			return nil, errors.New("told to fail")
		case "made":
			return []byte("a key"), nil
		}
		return record.Value[1:], nil
	}
	made, err := keyextractor.New(plugin.Needs{Value: plugin.Whole}, key, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	var records []plugintest.Record
	for _, value := range []string{"none", "made", "fail", "xyz", "made", "x"} {
		records = append(records, plugintest.Record{Value: []byte(value)})
	}
	want := []plugintest.Extracted{
		{}, {Key: []byte("a key")}, {Failed: true}, {Key: []byte("yz")}, {Key: []byte("a key")}, {Key: []byte{}},
	}
	if got := plugintest.Extract(made, records...); !reflect.DeepEqual(got, want) {
		t.Errorf("keys are %v", got)
	}
}

func TestALongerFixedPartIsSteppedOver(t *testing.T) {
	var batch []byte
	for _, word := range []uint32{1, 28, 31, 1<<32 - 1, 0, 0, 3, 3, 77} {
		batch = binary.LittleEndian.AppendUint32(batch, word)
	}
	batch = append(batch, "abc"...)
	var values []string
	count, ok := plugin.Records(batch, func(record *plugin.Record) { values = append(values, string(record.Value)) })
	if count != 1 || !ok || !slices.Equal(values, []string{"abc"}) {
		t.Errorf("%d records, well formed %v: %q", count, ok, values)
	}
}

func TestAMalformedBatchIsNoticed(t *testing.T) {
	record := plugintest.Record{Key: []byte("k"), Subject: "s", Value: []byte("v")}
	whole := plugintest.Pack(everything, record, record)
	for end := range whole {
		if _, ok := plugin.Records(whole[:end], func(*plugin.Record) {}); ok {
			t.Errorf("cut at %d it is taken", end)
		}
	}
	if _, ok := plugin.Records(append(whole, 0), func(*plugin.Record) {}); ok {
		t.Error("with a byte more it is taken")
	}
}

func FuzzRecords(f *testing.F) {
	f.Add(plugintest.Pack(everything, plugintest.Record{Key: []byte("k"), Subject: "s", Value: []byte("v")}))
	f.Fuzz(func(t *testing.T, batch []byte) {
		plugin.Records(batch, func(record *plugin.Record) {
			record.Header(record.Token(3))
			bytes.Contains(batch, record.Value)
		})
	})
}
