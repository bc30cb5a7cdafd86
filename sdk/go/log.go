package plugin

import "fmt"

// Level is how much a message matters.
type Level uint32

const (
	// LevelDebug is for the plugin's author.
	LevelDebug Level = iota
	// LevelInfo is normal, and worth knowing.
	LevelInfo
	// LevelWarn: something is not as it should be, and the plugin copes.
	LevelWarn
	// LevelError: something went wrong.
	LevelError
)

// Log writes a message for the operator, who reads it with strandline plugin logs. The host limits rate and length.
func Log(level Level, message string) {
	write(level, message)
}

// Logf is Log with a format.
func Logf(level Level, format string, values ...any) {
	write(level, fmt.Sprintf(format, values...))
}
