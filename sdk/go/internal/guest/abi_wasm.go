package guest

import (
	"unsafe"

	"strandline/plugin"
)

// What the host is given to read must stay where it is until the next call; nothing that Go allocates moves, so it
// only has to be referred to.
var (
	// argument is where the host places what it passes in: one list or string in each call.
	argument []byte
	result   [4]uint32
	kept     any
)

//go:wasmexport cabi_realloc
func reallocate(old unsafe.Pointer, oldLen, align, newLen uint32) unsafe.Pointer {
	if newLen == 0 {
		return unsafe.Pointer(uintptr(align))
	}
	before := unsafe.Slice((*byte)(old), oldLen)
	if uint64(newLen) > uint64(cap(argument)) || oldLen > 0 {
		argument = make([]byte, newLen)
	}
	argument = argument[:newLen]
	copy(argument, before)
	return unsafe.Pointer(unsafe.SliceData(argument))
}

// Argument is what the host has passed in.
func Argument(at unsafe.Pointer, length uint32) []byte {
	if length == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(at), length)
}

// Initialised is the result of init: a result<needs, string>.
func Initialised(needs plugin.Needs, err error) unsafe.Pointer {
	if err != nil {
		message := []byte(err.Error())
		kept = message
		result = [4]uint32{1, address(unsafe.Pointer(unsafe.SliceData(message))), uint32(len(message)), 0}
		return unsafe.Pointer(&result)
	}
	kind, prefix := needs.Value.Words()
	flags := flag(needs.Key) | flag(needs.Subject)<<8 | flag(needs.Headers)<<16
	result = [4]uint32{0, flags, uint32(kind), prefix}
	return unsafe.Pointer(&result)
}

// Bytes is a result of bytes: a list<u8>.
func Bytes(bytes []byte) unsafe.Pointer {
	kept = bytes
	result = [4]uint32{address(unsafe.Pointer(unsafe.SliceData(bytes))), uint32(len(bytes)), 0, 0}
	return unsafe.Pointer(&result)
}

// Texts is a result of texts: a list<string>.
func Texts(texts []string) unsafe.Pointer {
	places := make([][2]uint32, len(texts))
	for at, text := range texts {
		places[at] = [2]uint32{address(unsafe.Pointer(unsafe.StringData(text))), uint32(len(text))}
	}
	kept = [2]any{places, texts}
	result = [4]uint32{address(unsafe.Pointer(unsafe.SliceData(places))), uint32(len(places)), 0, 0}
	return unsafe.Pointer(&result)
}

func address(at unsafe.Pointer) uint32 {
	return uint32(uintptr(at))
}

func flag(set bool) uint32 {
	if set {
		return 1
	}
	return 0
}
