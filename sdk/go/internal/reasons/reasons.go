// Package reasons keeps the reason of the verdict at hand, while somebody asks for it.
package reasons

var (
	// Wanted says that somebody asks.
	Wanted bool
	// Given is the last reason.
	Given string
)

// Collect returns the reason that judge gives.
func Collect(judge func()) string {
	Wanted, Given = true, ""
	judge()
	Wanted = false
	return Given
}
