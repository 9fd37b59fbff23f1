package main

import (
	"encoding/json"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cilium/ebpf"
)

type loaderEvent struct {
	Event   string            `json:"event"`
	Name    string            `json:"name"`
	Version string            `json:"version"`
	Detail  map[string]string `json:"detail"`
}

type objectEvent struct {
	Event   string  `json:"event"`
	Status  string  `json:"status"`
	Errno   *string `json:"errno"`
	Message string  `json:"message"`
}

type mapEvent struct {
	Event      string  `json:"event"`
	Name       string  `json:"name"`
	Type       string  `json:"type"`
	KeySize    uint32  `json:"key_size"`
	ValueSize  uint32  `json:"value_size"`
	MaxEntries uint32  `json:"max_entries"`
	Status     string  `json:"status"`
	Errno      *string `json:"errno"`
	Message    string  `json:"message"`
}

type programEvent struct {
	Event         string  `json:"event"`
	Name          string  `json:"name"`
	Section       string  `json:"section"`
	Type          string  `json:"type"`
	Status        string  `json:"status"`
	Errno         *string `json:"errno"`
	Message       string  `json:"message"`
	By            string  `json:"by"`
	Log           string  `json:"log"`
	VerifiedInsns *uint32 `json:"verified_insns"`
}

type relocationEvent struct {
	Event   string `json:"event"`
	Program string `json:"program"`
	Insn    uint64 `json:"insn"`
	Kind    string `json:"kind"`
	Local   *int64 `json:"local"`
	Target  *int64 `json:"target"`
	Outcome string `json:"outcome"`
	Message string `json:"message"`
}

type wholeEvent struct {
	Event   string  `json:"event"`
	Status  string  `json:"status"`
	Errno   *string `json:"errno"`
	Message string  `json:"message"`
}

type endEvent struct {
	Event string `json:"event"`
}

// say writes one event, at once.
func say(event any) {
	var line strings.Builder
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	switch one := event.(type) {
	case objectEvent:
		one.Message = text(one.Message)
		event = one
	case mapEvent:
		one.Name, one.Message = text(one.Name), text(one.Message)
		event = one
	case programEvent:
		one.Name, one.Section, one.Message, one.Log = text(one.Name), text(one.Section), text(one.Message), text(one.Log)
		event = one
	case relocationEvent:
		one.Program, one.Message = text(one.Program), text(one.Message)
		event = one
	case wholeEvent:
		one.Message = text(one.Message)
		event = one
	}
	if err := encoder.Encode(event); err != nil {
		panic(err)
	}
	if _, err := os.Stdout.WriteString(line.String()); err != nil {
		os.Exit(1)
	}
}

// text returns a text in which bytes that are no UTF-8 are escaped with backslashes.
func text(raw string) string {
	if utf8.ValidString(raw) {
		return raw
	}
	var made strings.Builder
	for len(raw) > 0 {
		letter, size := utf8.DecodeRuneInString(raw)
		if letter == utf8.RuneError && size == 1 {
			made.WriteString(`\x` + strconv.FormatUint(uint64(raw[0])|0x100, 16)[1:])
		} else {
			made.WriteString(raw[:size])
		}
		raw = raw[size:]
	}
	return made.String()
}

// version returns the release of the library that this was built with.
func version() string {
	if info, there := debug.ReadBuildInfo(); there {
		for _, one := range info.Deps {
			if one.Path == "github.com/cilium/ebpf" {
				return strings.TrimPrefix(one.Version, "v")
			}
		}
	}
	return "unknown"
}

// The kernel's enums bpf_prog_type and bpf_map_type (include/uapi/linux/bpf.h), in order.
var programTypes = []string{
	"unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb",
	"cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint",
	"cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl",
	"raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall",
	"netfilter",
}

var mapTypes = []string{
	"unspec", "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array", "stack_trace",
	"cgroup_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps", "devmap", "sockmap",
	"cpumap", "xskmap", "sockhash", "cgroup_storage", "reuseport_sockarray", "percpu_cgroup_storage", "queue", "stack",
	"sk_storage", "devmap_hash", "struct_ops", "ringbuf", "inode_storage", "task_storage", "bloom_filter",
	"user_ringbuf", "cgrp_storage", "arena", "insn_array",
}

func programType(number ebpf.ProgramType) string { return named(programTypes, uint32(number)) }

func mapType(number ebpf.MapType) string { return named(mapTypes, uint32(number)) }

func named(names []string, number uint32) string {
	if number < uint32(len(names)) {
		return names[number]
	}
	return strconv.FormatUint(uint64(number), 10)
}
