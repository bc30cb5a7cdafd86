package main

import (
	"slices"
	"strings"
	"testing"

	"strandline/plugin"
	"strandline/plugin/filter"
	"strandline/plugin/plugintest"
)

func least(t *testing.T, settings string) *filter.Filter {
	t.Helper()
	made, err := filter.New(plugin.Needs{Value: plugin.Whole}, judge, []byte(settings))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestNumbersThatAreLargeEnoughPass(t *testing.T) {
	made := least(t, `{"field": "amount", "least": 100}`)
	var records []plugintest.Record
	for _, value := range []string{`{"amount": 100}`, `{"amount": 99.5}`, `{"amount": "100"}`, `{}`, `amount=100`} {
		records = append(records, plugintest.Record{Value: []byte(value)})
	}
	want := []plugin.Verdict{plugin.Pass, plugin.Drop, plugin.Fail, plugin.Drop, plugin.Drop}
	if got := plugintest.Judge(made, records...); !slices.Equal(got, want) {
		t.Errorf("verdicts are %v, not %v", got, want)
	}
	if got := plugintest.Reason(made, records[1]); got != "its amount is 99.5, less than 100" {
		t.Errorf("the reason is %q", got)
	}
}

func TestSettingsThatDoNotFitAreRefused(t *testing.T) {
	for settings, want := range map[string]string{
		`{"least": 1}`:                             "field is missing",
		`{"field": "amount", "most": 1}`:           `unknown field "most"`,
		`{"field": 1}`:                             "cannot unmarshal",
		`{"field": "amount"} {"field": "another"}`: "more follows",
	} {
		_, err := filter.New(plugin.Needs{}, judge, []byte(settings))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, not %q", settings, err, want)
		}
	}
}
