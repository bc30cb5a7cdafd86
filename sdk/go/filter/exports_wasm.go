package filter

import (
	"unsafe"

	"strandline/plugin"
	"strandline/plugin/internal/guest"
)

// instance is this instance of the plugin, from its init on.
var instance *Filter

//go:wasmexport strandline:plugin/filtering@1.0.0#init
func exportInit(settings unsafe.Pointer, length uint32) unsafe.Pointer {
	if registered == nil {
		return guest.Initialised(plugin.Needs{}, errNotRegistered)
	}
	filter, err := registered(guest.Argument(settings, length))
	if err != nil {
		return guest.Initialised(plugin.Needs{}, err)
	}
	instance = filter
	return guest.Initialised(filter.Needs(), nil)
}

//go:wasmexport strandline:plugin/filtering@1.0.0#judge
func exportJudge(batch unsafe.Pointer, length uint32) unsafe.Pointer {
	return guest.Bytes(instance.Judge(guest.Argument(batch, length)))
}

//go:wasmexport strandline:plugin/filtering@1.0.0#explain
func exportExplain(batch unsafe.Pointer, length uint32) unsafe.Pointer {
	return guest.Texts(instance.Explain(guest.Argument(batch, length)))
}
