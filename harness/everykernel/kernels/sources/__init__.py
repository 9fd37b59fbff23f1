"""Sources: where kernels come from, a small file each behind one protocol; docs/kernels.md says how to add one."""
