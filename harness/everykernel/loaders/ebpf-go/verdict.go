package main

import (
	"errors"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// verdict is what an error of the library says: who refused, with which errno, in which words.
type verdict struct {
	status, by, message, log string
	errno                    *string
}

// What the library finds in the log of a program with a poisoned instruction; it keeps no errno then, but looks for each
// only where the kernel gave that errno (newProgramWithOptions).
const (
	poisonedLoad = "(18) r10 = 0xbad2310"
	badReference = "bad CO-RE relocation"
	badKfunc     = "unknown kfunc"
)

func judge(err error) verdict {
	if err == nil {
		return verdict{status: "passed"}
	}
	made := verdict{status: "failed", by: "loader", message: err.Error()}
	if number := unix.Errno(0); errors.As(err, &number) {
		name := errnoName(number)
		made.errno, made.by = &name, "kernel"
	}
	if strings.Contains(made.message, "map create: ") && !strings.Contains(made.message, "load program: ") {
		made.by = "map"
	}
	refused := (*ebpf.VerifierError)(nil)
	if errors.As(err, &refused) && strings.Contains(made.message, "load program: ") {
		made.by = "kernel"
		made.log = strings.Join(refused.Log, "\n")
		if made.errno == nil && (strings.Contains(made.message, badReference) || strings.Contains(made.message, badKfunc)) {
			name := "EINVAL"
			if strings.Contains(made.log[max(0, len(made.log)-300):], poisonedLoad) {
				name = "EACCES"
			}
			made.errno = &name
		}
	}
	return made
}

func errnoName(number unix.Errno) string {
	switch number {
	case 524:
		return "ENOTSUPP" // of the kernel alone: no errno.h has it
	case unix.EOPNOTSUPP:
		return "EOPNOTSUPP" // as the kernel calls it; ENOTSUP is the same number
	}
	return unix.ErrnoName(number)
}
