package main

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// sayRelocations says what the CO-RE records of a program come to, as the library computes them before it applies them.
//
// Where it cannot, the program's own event has the reason.
func sayRelocations(program *ebpf.ProgramSpec, options ebpf.CollectionOptions) {
	var records []*btf.CORERelocation
	var places []asm.RawInstructionOffset
	for walk := program.Instructions.Iterate(); walk.Next(); {
		if record := btf.CORERelocationMetadata(walk.Ins); record != nil {
			records = append(records, record)
			places = append(places, walk.Offset)
		}
	}
	if len(records) == 0 || program.ByteOrder == binary.BigEndian {
		return
	}
	types := targets(options)
	if len(types) == 0 {
		return
	}
	var builder btf.Builder
	fixups, err := btf.CORERelocate(records, types, program.ByteOrder, builder.Add)
	if err != nil {
		return
	}
	for i, fixup := range fixups {
		kind, change, _ := strings.Cut(fixup.String(), "=")
		event := relocationEvent{Event: "relocation", Program: program.Name, Insn: uint64(places[i]), Kind: kind}
		event.Outcome, event.Message = "poisoned", records[i].String()
		if local, target, patched := strings.Cut(change, "->"); patched {
			event.Outcome = "patched"
			event.Local, event.Target = number(local), number(target)
		}
		say(event)
	}
}

func targets(options ebpf.CollectionOptions) []*btf.Spec {
	if options.Programs.KernelTypes != nil {
		return []*btf.Spec{options.Programs.KernelTypes}
	}
	kernel, err := options.Cache.Kernel()
	if err != nil {
		return nil
	}
	found := []*btf.Spec{kernel}
	modules, _ := options.Cache.Modules()
	for _, name := range modules {
		if module, err := options.Cache.Module(name); err == nil {
			found = append(found, module)
		}
	}
	return found
}

// number returns a value as the contract has them: 64 bits that are signed where they were.
func number(text string) *int64 {
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil
	}
	signed := int64(value)
	return &signed
}
