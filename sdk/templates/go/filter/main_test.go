package main

import (
	"slices"
	"testing"

	"strandline/plugin"
	"strandline/plugin/filter"
	"strandline/plugin/plugintest"
)

func TestOnlyErrorsPass(t *testing.T) {
	errors, err := filter.New(needs, judge, []byte(`{"field": "level", "is": "error"}`))
	if err != nil {
		t.Fatal(err)
	}
	records := []plugintest.Record{
		{Value: []byte(`{"level": "error", "text": "disk full"}`)},
		{Value: []byte(`{"level": "info"}`)},
		{Value: []byte(`no JSON`)},
	}
	want := []plugin.Verdict{plugin.Pass, plugin.Drop, plugin.Drop}
	if got := plugintest.Judge(errors, records...); !slices.Equal(got, want) {
		t.Errorf("verdicts are %v, not %v", got, want)
	}
	if got := plugintest.Reason(errors, records[1]); got != "its level is not error" {
		t.Errorf("the reason is %q", got)
	}
}
