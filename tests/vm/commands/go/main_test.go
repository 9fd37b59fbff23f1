package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestReturnsWhatTestdataSays(t *testing.T) {
	data, err := os.ReadFile("testdata/want")
	if err != nil {
		t.Fatal(err)
	}
	want, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	program, err := load(returns(int32(want)))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	got, _, err := program.Test(make([]byte, 14))
	if err != nil {
		t.Fatal(err)
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	t.Logf("returned %d on %s", got, release)
	if int(got) != want {
		t.Errorf("returned %d, not %d", got, want)
	}
}

func TestFailsWhereItIsAsked(t *testing.T) {
	if os.Getenv("TOOL_FAILS") != "" {
		t.Error("asked to fail")
	}
}
