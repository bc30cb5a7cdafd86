package plugin

//go:wasmimport strandline:plugin/log@1.0.0 write
func hostWrite(level uint32, message string)

func write(level Level, message string) {
	hostWrite(uint32(level), message)
}
