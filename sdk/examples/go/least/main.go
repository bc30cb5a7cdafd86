// Command least is a filter that passes records whose JSON value has a number that is large enough.
//
// Settings: {"field": "amount", "least": 100}
package main

import (
	"errors"
	"fmt"

	"strandline/plugin"
	"strandline/plugin/filter"
)

// Settings are the settings of an attachment.
type Settings struct {
	Field string  `json:"field"`
	Least float64 `json:"least"`
}

// Validate says what is wrong with the settings when the plugin is attached.
func (s *Settings) Validate() error {
	if s.Field == "" {
		return errors.New("field is missing: it names the number to look at")
	}
	return nil
}

func judge(record *plugin.Record, settings *Settings) plugin.Verdict {
	field, found := record.Field(settings.Field)
	if !found {
		return plugin.Drop.BecauseFunc(func() string { return "it has no " + settings.Field })
	}
	number, isNumber := field.Number()
	if !isNumber {
		return plugin.Fail.BecauseFunc(func() string { return "its " + settings.Field + " is no number" })
	}
	if number < settings.Least {
		return plugin.Drop.BecauseFunc(func() string {
			return fmt.Sprintf("its %s is %v, less than %v", settings.Field, number, settings.Least)
		})
	}
	return plugin.Pass
}

func init() {
	filter.Register(plugin.Needs{Value: plugin.Whole}, judge)
}

func main() {}
