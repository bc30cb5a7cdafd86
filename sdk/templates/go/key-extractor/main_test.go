package main

import (
	"testing"

	"strandline/plugin/keyextractor"
	"strandline/plugin/plugintest"
)

func TestTextsAndNumbersAreKeys(t *testing.T) {
	extractor, err := keyextractor.New(needs, key, []byte(`{"field": "user"}`))
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{`{"user": "ada"}`: "ada", `{"user": 17}`: "17", `{"login": "ada"}`: ""} {
		found := plugintest.Extract(extractor, plugintest.Record{Value: []byte(value)})[0]
		if found.Failed || string(found.Key) != want {
			t.Errorf("the key of %s is %q, not %q", value, found.Key, want)
		}
	}
}
