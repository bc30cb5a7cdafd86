// Command plugin-name is a filter that passes records whose JSON value has a certain text in one of its fields.
package main

import (
	"errors"

	"strandline/plugin"
	"strandline/plugin/filter"
)

// Settings are what an operator writes for an attachment, as JSON: {"field": "level", "is": "error"}.
type Settings struct {
	Field string `json:"field"`
	Is    string `json:"is"`
}

// Validate says what is wrong with the settings when the plugin is attached.
func (s *Settings) Validate() error {
	if s.Field == "" {
		return errors.New("field is missing: it names the field to look at")
	}
	return nil
}

// judge is asked about every record.
func judge(record *plugin.Record, settings *Settings) plugin.Verdict {
	field, found := record.Field(settings.Field)
	if !found {
		return plugin.Drop.BecauseFunc(func() string { return "it has no " + settings.Field })
	}
	if !field.Is(settings.Is) {
		return plugin.Drop.BecauseFunc(func() string { return "its " + settings.Field + " is not " + settings.Is })
	}
	return plugin.Pass
}

// needs says what judge reads of a record: key, subject, headers, value.
var needs = plugin.Needs{Value: plugin.Whole}

func init() { filter.Register(needs, judge) }

func main() {}
