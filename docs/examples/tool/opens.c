// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts how often it opens a file itself: a tool with user space, in small. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "opens.skel.h"

int main(void)
{
	struct opens *skel = opens__open();
	int i, err;

	if (!skel)
		return 1;
	skel->rodata->watched = getpid();
	err = opens__load(skel);
	if (!err)
		err = opens__attach(skel);
	if (err) {
		fprintf(stderr, "opens: %s\n", strerror(-err));
		return 1;
	}
	for (i = 0; i < 3; i++)
		close(open("/dev/null", O_RDONLY));
	printf("%llu opens\n", (unsigned long long)skel->bss->opens);
	opens__destroy(skel);
	return 0;
}
