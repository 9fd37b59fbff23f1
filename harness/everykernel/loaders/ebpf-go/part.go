package main

import (
	"github.com/cilium/ebpf"
)

// part is what is left of a collection for one program, or one map: the maps that it refers to, and what these hold.
//
// Program arrays are emptied: what stands in them are other programs.
func part(spec *ebpf.CollectionSpec, program, wanted string) *ebpf.CollectionSpec {
	whole := spec.Copy()
	made := &ebpf.CollectionSpec{
		Maps:      map[string]*ebpf.MapSpec{},
		Programs:  map[string]*ebpf.ProgramSpec{},
		Variables: map[string]*ebpf.VariableSpec{},
		Types:     whole.Types,
		ByteOrder: whole.ByteOrder,
	}
	pending := []string{wanted}
	if found := whole.Programs[program]; found != nil {
		made.Programs[program] = found
		for i := range found.Instructions {
			if ins := &found.Instructions[i]; ins.IsLoadFromMap() {
				pending = append(pending, ins.Reference())
			}
		}
	}
	for len(pending) > 0 {
		name := pending[0]
		pending = pending[1:]
		found := whole.Maps[name]
		if found == nil || made.Maps[name] != nil {
			continue
		}
		made.Maps[name] = found
		if found.Type == ebpf.ProgramArray {
			found.Contents = nil
		}
		for _, one := range found.Contents {
			if inner, ok := one.Value.(string); ok {
				pending = append(pending, inner)
			}
		}
	}
	for name, variable := range whole.Variables {
		if made.Maps[variable.SectionName] != nil {
			made.Variables[name] = variable
		}
	}
	return made
}

func sayMap(spec *ebpf.CollectionSpec, name string, options ebpf.CollectionOptions) {
	found := spec.Maps[name]
	collection, err := ebpf.NewCollectionWithOptions(part(spec, "", name), options)
	defer closed(collection)
	told := judge(err)
	event := mapEvent{
		"map", name, mapType(found.Type), found.KeySize, found.ValueSize, found.MaxEntries,
		told.status, told.errno, told.message,
	}
	if err == nil && collection.Maps[name] != nil {
		made := collection.Maps[name]
		event.KeySize, event.ValueSize, event.MaxEntries = made.KeySize(), made.ValueSize(), made.MaxEntries()
	}
	say(event)
}

func sayProgram(spec *ebpf.CollectionSpec, name string, options ebpf.CollectionOptions) {
	found := spec.Programs[name]
	event := programEvent{Event: "program", Name: name, Section: found.SectionName, Type: programType(found.Type)}
	if found.Type == ebpf.UnspecifiedProgram {
		event.Status, event.By = "skipped", "loader"
		event.Message = "its section stands for no program type: it is left out of its collection"
		say(event)
		return
	}
	collection, err := ebpf.NewCollectionWithOptions(part(spec, name, ""), options)
	defer closed(collection)
	told := judge(err)
	event.Status, event.Errno, event.Message = told.status, told.errno, told.message
	event.By, event.Log = told.by, told.log
	if err == nil && collection.Programs[name] != nil {
		if info, err := collection.Programs[name].Info(); err == nil {
			if count, there := info.VerifiedInstructions(); there {
				event.VerifiedInsns = &count
			}
		}
	}
	say(event)
}

func closed(collection *ebpf.Collection) {
	if collection != nil {
		collection.Close()
	}
}
