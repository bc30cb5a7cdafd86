package plugin_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"strandline/plugin"
)

const order = ` { "id" : 17, "user": {"name": "Ada", "id": -3.5, "n": {"id": null}}, "note": "}]{[\"\\", "tags": [ "x", {"id": [1]} ],
	"last": false } `

func TestFieldsAreFoundAtAnyDepth(t *testing.T) {
	for _, try := range []struct {
		path []string
		want string
	}{
		{[]string{"id"}, "17"},
		{[]string{"user", "id"}, "-3.5"},
		{[]string{"user", "n", "id"}, "null"},
		{[]string{"tags"}, `[ "x", {"id": [1]} ]`},
		{[]string{"last"}, "false"},
	} {
		if got, found := plugin.JSON(order).Field(try.path...); string(got) != try.want || !found {
			t.Errorf("%v is %q", try.path, got)
		}
	}
	for _, path := range [][]string{{"name"}, {"id", "id"}, {"tags", "id"}, {"user", "n", "name"}} {
		if got, found := plugin.JSON(order).Field(path...); found {
			t.Errorf("%v is %q", path, got)
		}
	}
}

func TestValuesAreReadAsWhatTheyAre(t *testing.T) {
	field := func(path ...string) plugin.JSON {
		value, _ := plugin.JSON(order).Field(path...)
		return value
	}
	if text, ok := field("note").Text(); text != `}]{["\` || !ok {
		t.Errorf("the text is %q", text)
	}
	if number, ok := field("user", "id").Number(); number != -3.5 || !ok {
		t.Errorf("the number is %v", number)
	}
	if value, ok := field("last").Bool(); value || !ok {
		t.Error("the truth value is not false")
	}
	if !field("user", "name").Is("Ada") || field("id").Is("17") {
		t.Error("only strings are texts")
	}
	if _, ok := field("user", "name").Number(); ok {
		t.Error("a string is no number")
	}
}

// What encoding/json finds is found; what is no JSON does no harm.
func FuzzField(f *testing.F) {
	f.Add([]byte(order))
	f.Add([]byte(`{"id": "a\"b", "x": [}`))
	f.Add([]byte(`{"id":`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, found := plugin.JSON(text).Field("id")
		got.Text()
		got.Number()
		var fields map[string]json.RawMessage
		if json.Unmarshal(text, &fields) != nil || bytes.Count(text, []byte("id")) > 1 || bytes.IndexByte(text, '\\') >= 0 {
			return
		}
		want, wanted := fields["id"]
		if wanted && (!found || !bytes.Equal(got, want)) {
			t.Errorf("%q in place of %q", got, want)
		}
	})
}
