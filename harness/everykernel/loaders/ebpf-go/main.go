// The adapter of cilium/ebpf: `adapter REQUEST.json` loads an object as this library does, each program by itself and
// then the whole collection, and says on stdout what came of it. docs/loaders.md has the contract.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"
)

const (
	contract   = 1
	badRequest = 2
	// What kernels before v5.13 take of a verifier's log at most, UINT_MAX >> 8 (kernel/bpf/verifier.c).
	longestLog = 0xFFFFFF
)

// Request is what the adapter is asked.
type Request struct {
	Contract int
	Object   string
	Programs []string
	BTF      string
	Maps     map[string]struct {
		MaxEntries *uint32 `json:"max_entries"`
		KeySize    *uint32 `json:"key_size"`
		ValueSize  *uint32 `json:"value_size"`
	}
	Pins    bool
	LogSize uint32 `json:"log_size"`
}

func main() {
	request, err := read(os.Args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(badRequest)
	}
	say(loaderEvent{"loader", "ebpf-go", version(), map[string]string{"toolchain": runtime.Version()}})
	load(request)
	say(endEvent{"end"})
}

func read(args []string) (*Request, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("usage: %s REQUEST.json", args[0])
	}
	data, err := os.ReadFile(args[1])
	if err != nil {
		return nil, err
	}
	var request Request
	if err := json.Unmarshal(data, &request); err != nil {
		return nil, fmt.Errorf("%s: %w", args[1], err)
	}
	if request.Contract != contract {
		return nil, fmt.Errorf("%s: contract %d, not %d", args[1], request.Contract, contract)
	}
	return &request, nil
}

// load opens the object, then has each map, each program and the whole created anew.
func load(request *Request) {
	_ = rlimit.RemoveMemlock() // as tools do; what it leaves is the kernel's to refuse
	spec, err := ebpf.LoadCollectionSpec(request.Object)
	opened := judge(err)
	say(objectEvent{"object", opened.status, opened.errno, opened.message})
	if err != nil {
		say(wholeEvent{"whole", opened.status, opened.errno, opened.message})
		return
	}
	asked(spec, request)
	options, err := options(request)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(badRequest)
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Maps)) {
		sayMap(spec, name, options)
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
		if request.Programs == nil || slices.Contains(request.Programs, name) {
			sayRelocations(spec.Programs[name], options)
			sayProgram(spec, name, options)
		} else {
			delete(spec.Programs, name) // a tool that leaves it out takes it from the spec
		}
	}
	collection, err := ebpf.NewCollectionWithOptions(spec.Copy(), options)
	closed(collection)
	whole := judge(err)
	say(wholeEvent{"whole", whole.status, whole.errno, whole.message})
}

// asked applies what the request says of maps.
func asked(spec *ebpf.CollectionSpec, request *Request) {
	for name, found := range spec.Maps {
		sizes := request.Maps[name]
		for _, size := range []struct{ from, to *uint32 }{
			{sizes.MaxEntries, &found.MaxEntries},
			{sizes.KeySize, &found.KeySize},
			{sizes.ValueSize, &found.ValueSize},
		} {
			if size.from != nil {
				*size.to = *size.from
			}
		}
		if !request.Pins {
			found.Pinning = ebpf.PinNone
		}
	}
}

func options(request *Request) (ebpf.CollectionOptions, error) {
	made := ebpf.CollectionOptions{Cache: btf.NewCache()}
	made.Programs.LogSizeStart = min(request.LogSize, longestLog)
	if request.BTF != "" {
		types, err := btf.LoadSpec(request.BTF)
		if err != nil {
			return made, err
		}
		made.Programs.KernelTypes = types
	}
	return made, nil
}
