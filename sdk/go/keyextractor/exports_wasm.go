package keyextractor

import (
	"unsafe"

	"strandline/plugin"
	"strandline/plugin/internal/guest"
)

// instance is this instance of the plugin, from its init on.
var instance *Extractor

//go:wasmexport strandline:plugin/extraction@1.0.0#init
func exportInit(settings unsafe.Pointer, length uint32) unsafe.Pointer {
	if registered == nil {
		return guest.Initialised(plugin.Needs{}, errNotRegistered)
	}
	extractor, err := registered(guest.Argument(settings, length))
	if err != nil {
		return guest.Initialised(plugin.Needs{}, err)
	}
	instance = extractor
	return guest.Initialised(extractor.Needs(), nil)
}

//go:wasmexport strandline:plugin/extraction@1.0.0#extract
func exportExtract(batch unsafe.Pointer, length uint32) unsafe.Pointer {
	return guest.Bytes(instance.Extract(guest.Argument(batch, length)))
}
