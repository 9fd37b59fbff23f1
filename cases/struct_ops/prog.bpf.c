// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A congestion control that is registered by being written. Needs no relocation, but the kernel's own types. */
#include <everykernel.h>
#include <tcp_congestion.h>

SEC(".struct_ops")
struct tcp_congestion_ops congestion = EK_CONGESTION("ek_plain");

char LICENSE[] SEC("license") = "Dual MIT/GPL";
