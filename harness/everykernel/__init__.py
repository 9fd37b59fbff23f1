"""everykernel: prove that compile-once eBPF objects run on every kernel that matters."""
