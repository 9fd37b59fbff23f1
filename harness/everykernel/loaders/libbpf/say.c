// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "say.h"
#include <stdio.h>
#include <string.h>

#define MOST (1 << 20) /* bytes of a text: a verifier's log has up to 16 MiB, and there are many programs */
#define ENOTSUPP 524   /* the kernel's own, which no errno.h has */

static const char *separator;

void say_begin(const char *event)
{
	printf("{\"event\":\"%s\"", event);
	separator = ",";
}

static void say_key(const char *key)
{
	printf("%s\"%s\":", separator, key);
}

/* How many bytes of valid UTF-8 begin here, 0 for none. */
static int length_of(const unsigned char *s, const unsigned char *end)
{
	int more = *s < 0x80 ? 0 : *s >= 0xc2 && *s < 0xe0 ? 1 : *s >= 0xe0 && *s < 0xf0 ? 2 : *s >= 0xf0 && *s < 0xf5 ? 3 : -1;

	if (more < 0 || end - s <= more)
		return 0;
	for (int i = 1; i <= more; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] >= 0xa0) || (*s == 0xf0 && s[1] < 0x90) ||
	    (*s == 0xf4 && s[1] >= 0x90))
		return 0;
	return more + 1;
}

static void write_part(const char *text, size_t size)
{
	const unsigned char *s = (const unsigned char *)text, *end = s + size;

	while (s < end) {
		int length = length_of(s, end);

		if (!length)
			printf("\\\\x%02x", *s++);
		else if (*s == '"' || *s == '\\')
			printf("\\%c", *s++);
		else if (*s < 0x20)
			printf("\\u%04x", *s++);
		else
			for (; length; length--)
				putchar(*s++);
	}
}

void say_text(const char *key, const char *value)
{
	size_t size = value ? strlen(value) : 0;

	say_key(key);
	if (!value) {
		printf("null");
		return;
	}
	putchar('"');
	if (size > MOST) {
		write_part(value, MOST / 2);
		printf("\\n(%zu bytes left out)\\n", size - MOST);
		write_part(value + size - MOST / 2, MOST / 2);
	} else {
		write_part(value, size);
	}
	putchar('"');
}

void say_number(const char *key, long long value)
{
	say_key(key);
	printf("%lld", value);
}

void say_null(const char *key)
{
	say_text(key, NULL);
}

void say_errno(int err)
{
	const char *name = err == ENOTSUPP ? "ENOTSUPP" : err ? strerrorname_np(err) : NULL;

	say_text("errno", name);
}

void say_raw(const char *lines)
{
	fputs(lines, stdout);
	fflush(stdout);
}

void say_end(void)
{
	puts("}");
	fflush(stdout);
}
