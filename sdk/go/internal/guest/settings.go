// Package guest is the plugin's side of the canonical ABI of the component model, and what both worlds do alike.
package guest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Settings reads the settings of an attachment. Fields that the type has not are refused. A type with a method
// Validate() error is asked whether they will do.
func Settings[S any](text []byte) (*S, error) {
	settings := new(S)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(settings); err != nil {
		return nil, fmt.Errorf("the settings do not fit: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the settings do not fit: more follows their end")
	}
	if validated, ok := any(settings).(interface{ Validate() error }); ok {
		if err := validated.Validate(); err != nil {
			return nil, fmt.Errorf("the settings do not fit: %w", err)
		}
	}
	return settings, nil
}
