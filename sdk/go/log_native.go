//go:build !wasm

package plugin

import (
	"fmt"
	"os"
)

// In tests, where go test shows it.
func write(level Level, message string) {
	fmt.Fprintf(os.Stderr, "plugin log, level %d: %s\n", level, message)
}
