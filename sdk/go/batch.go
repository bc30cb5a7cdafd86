package plugin

import "encoding/binary"

// The layout of a batch is in docs/plugin-contract.md.
const (
	headBytes  = 8
	fixedBytes = 24
	noKey      = ^uint32(0)
)

// Records calls each for every record of a packed batch. It returns how many there are, and false where the batch is
// not as the contract says.
func Records(batch []byte, each func(*Record)) (count int, wellFormed bool) {
	if len(batch) < headBytes {
		return 0, false
	}
	n, fixed := binary.LittleEndian.Uint32(batch), binary.LittleEndian.Uint32(batch[4:])
	rest := batch[headBytes:]
	if fixed < fixedBytes || uint64(n)*uint64(fixed) > uint64(len(rest)) {
		return 0, false
	}
	var record Record
	for range n {
		if len(rest) < 4 {
			return 0, false
		}
		length := binary.LittleEndian.Uint32(rest)
		if uint64(length) > uint64(len(rest)) || !record.read(rest[:length], fixed) {
			return 0, false
		}
		each(&record)
		rest = rest[length:]
	}
	return int(n), len(rest) == 0
}

// read takes the record from its bytes.
func (r *Record) read(bytes []byte, fixed uint32) bool {
	if uint64(len(bytes)) < uint64(fixed) {
		return false
	}
	lengths := [5]uint32{}
	for at := range lengths {
		lengths[at] = binary.LittleEndian.Uint32(bytes[4+4*at:])
	}
	key, hasKey := lengths[0], lengths[0] != noKey
	if !hasKey {
		key = 0
	}
	subject, headers, value := uint64(lengths[1]), uint64(lengths[2]), uint64(lengths[3])
	rest := bytes[fixed:]
	if uint64(key)+subject+headers+value != uint64(len(rest)) {
		return false
	}
	r.Key, rest = rest[:key:key], rest[key:]
	if !hasKey {
		r.Key = nil
	}
	r.Subject, rest = text(rest[:subject]), rest[subject:]
	r.headers, r.Value = rest[:headers], rest[headers:]
	r.ValueLen = int(lengths[4])
	return true
}
