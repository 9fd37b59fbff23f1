// A tool in Go: makes a map, loads a program and runs it once. With "refused", its program is one that no verifier takes.
package main

import (
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

func load(insns asm.Instructions) (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "go_prog", Type: ebpf.SocketFilter, License: "GPL", Instructions: insns,
	})
}

func returns(value int32) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, value), asm.Return()}
}

func run() error {
	counts, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "go_counts", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 4,
	})
	if err != nil {
		return err
	}
	defer counts.Close()
	insns := returns(7)
	if len(os.Args) > 1 && os.Args[1] == "refused" {
		insns = asm.Instructions{asm.Mov.Reg(asm.R0, asm.R5), asm.Return()}
	}
	program, err := load(insns)
	if err != nil {
		return err
	}
	defer program.Close()
	result, _, err := program.Test(make([]byte, 14))
	if err != nil {
		return err
	}
	fmt.Printf("the program returned %d\n", result)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "tool:", err)
		os.Exit(1)
	}
}
