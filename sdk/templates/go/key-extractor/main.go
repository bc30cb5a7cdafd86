// Command plugin-name is a key extractor that takes the key of a record from a field of its JSON value.
package main

import (
	"errors"
	"strconv"

	"strandline/plugin"
	"strandline/plugin/keyextractor"
)

// Settings are what an operator writes for an attachment, as JSON: {"field": "user"}.
type Settings struct {
	Field string `json:"field"`
}

// Validate says what is wrong with the settings when the plugin is attached.
func (s *Settings) Validate() error {
	if s.Field == "" {
		return errors.New("field is missing: it names the field that is the key")
	}
	return nil
}

// key is asked about every record without a key; nil leaves the record without one.
func key(record *plugin.Record, settings *Settings) ([]byte, error) {
	field, _ := record.Field(settings.Field)
	if text, isText := field.Text(); isText {
		return []byte(text), nil
	}
	if number, isNumber := field.Number(); isNumber {
		return strconv.AppendFloat(nil, number, 'f', -1, 64), nil
	}
	return nil, nil
}

// needs says what key reads of a record: subject, headers, value.
var needs = plugin.Needs{Value: plugin.Whole}

func init() { keyextractor.Register(needs, key) }

func main() {}
