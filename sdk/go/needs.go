package plugin

// Needs is what a plugin reads of a record. The rest is not copied into its memory, which is most of what a call costs.
type Needs struct {
	Key, Subject, Headers bool
	Value                 ValueNeed
}

// ValueNeed is how much of a value a plugin reads: nothing unless it says Whole or Prefix.
type ValueNeed struct {
	kind   uint8
	prefix uint32
}

// Whole is all of the value.
var Whole = ValueNeed{kind: 2}

// Prefix is so many bytes from the start of the value, or all of it where it is shorter.
func Prefix(bytes uint32) ValueNeed {
	return ValueNeed{kind: 1, prefix: bytes}
}

// Words is the need as the contract's variant: 0 none, 1 so many bytes, 2 whole.
func (n ValueNeed) Words() (kind uint8, prefix uint32) {
	return n.kind, n.prefix
}
