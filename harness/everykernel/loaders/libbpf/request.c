// SPDX-License-Identifier: Apache-2.0
/* Reads a request: JSON, as much of it as the contract has. */
#include "request.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *at; /* the text that is left */
static const char *wrong;

static bool fail(const char *why)
{
	if (!wrong)
		wrong = why;
	return false;
}

static void skip(void)
{
	at += strspn(at, " \t\r\n");
}

static bool take(char sign)
{
	skip();
	if (*at != sign)
		return false;
	at++;
	return true;
}

static bool need(char sign)
{
	return take(sign) || fail("it is no JSON of this contract");
}

static bool word(const char *text)
{
	skip();
	if (strncmp(at, text, strlen(text)))
		return false;
	at += strlen(text);
	return true;
}

static char *utf8(char *out, unsigned int code)
{
	if (code < 0x80) {
		*out++ = code;
	} else if (code < 0x800) {
		*out++ = 0xc0 | code >> 6;
		*out++ = 0x80 | (code & 0x3f);
	} else if (code < 0x10000) {
		*out++ = 0xe0 | code >> 12;
		*out++ = 0x80 | (code >> 6 & 0x3f);
		*out++ = 0x80 | (code & 0x3f);
	} else {
		*out++ = 0xf0 | code >> 18;
		*out++ = 0x80 | (code >> 12 & 0x3f);
		*out++ = 0x80 | (code >> 6 & 0x3f);
		*out++ = 0x80 | (code & 0x3f);
	}
	return out;
}

/* Four hexadecimal digits; 0 where there are none: no text of a request holds a NUL. */
static unsigned int unit(void)
{
	char digits[5] = "", *end;
	unsigned long code;

	for (int i = 0; i < 4 && at[i]; i++)
		digits[i] = at[i];
	code = strtoul(digits, &end, 16);
	if (end != digits + 4)
		return 0;
	at += 4;
	return code;
}

/* What follows a backslash. */
static char *escape(char *out)
{
	static const char names[] = "\"\\/bfnrt", signs[] = "\"\\/\b\f\n\r\t";
	const char *found = *at ? strchr(names, *at) : NULL;
	unsigned int code;

	if (found) {
		at++;
		*out++ = signs[found - names];
		return out;
	}
	if (*at++ != 'u' || !(code = unit()))
		return NULL;
	if (code >= 0xd800 && code < 0xdc00 && at[0] == '\\' && at[1] == 'u') {
		at += 2;
		code = 0x10000 + ((code - 0xd800) << 10) + (unit() - 0xdc00);
	}
	return utf8(out, code);
}

static char *string(void)
{
	char *text, *out;

	if (!need('"'))
		return NULL;
	out = text = malloc(strlen(at) + 1);
	while (out && *at && *at != '"') {
		if (*at != '\\') {
			*out++ = *at++;
			continue;
		}
		at++;
		out = escape(out);
	}
	if (!out || *at != '"') {
		fail("a text has an escape that is none, or no end");
		return NULL;
	}
	at++;
	*out = '\0';
	return text;
}

static bool number(long long *into)
{
	char *end;

	skip();
	*into = strtoll(at, &end, 10);
	if (end == at || *into < 0)
		return fail("a number is none");
	at = end;
	return true;
}

static bool boolean(bool *into)
{
	*into = word("true");
	return *into || word("false") || fail("pins is neither true nor false");
}

static bool text_or_null(char **into)
{
	*into = NULL;
	return word("null") || (*into = string()) != NULL;
}

static bool programs(struct request *request)
{
	request->all = word("null");
	if (request->all)
		return true;
	if (!need('['))
		return false;
	if (take(']'))
		return true;
	do {
		char *name = string();

		if (!name)
			return false;
		request->programs = realloc(request->programs, (request->program_count + 1) * sizeof(char *));
		request->programs[request->program_count++] = name;
	} while (take(','));
	return need(']');
}

static bool map(struct sizes *sizes)
{
	if (!need('{'))
		return false;
	if (take('}'))
		return true;
	do {
		char *key = string();
		long long *into = NULL;

		if (!key || !need(':'))
			return false;
		if (!strcmp(key, "max_entries"))
			into = &sizes->max_entries;
		else if (!strcmp(key, "key_size"))
			into = &sizes->key_size;
		else if (!strcmp(key, "value_size"))
			into = &sizes->value_size;
		if (!into)
			return fail("a map has a size that this contract does not know");
		if (!number(into))
			return false;
	} while (take(','));
	return need('}');
}

static bool maps(struct request *request)
{
	if (!need('{'))
		return false;
	if (take('}'))
		return true;
	do {
		struct sizes *sizes;
		char *name = string();

		if (!name || !need(':'))
			return false;
		request->maps = realloc(request->maps, (request->map_count + 1) * sizeof(*sizes));
		sizes = &request->maps[request->map_count++];
		*sizes = (struct sizes){name, -1, -1, -1};
		if (!map(sizes))
			return false;
	} while (take(','));
	return need('}');
}

static bool member(struct request *request)
{
	char *key = string();
	long long value;

	if (!key || !need(':'))
		return false;
	if (!strcmp(key, "contract"))
		return number(&value) && (value == 1 || fail("its contract is not 1, the one that is known here"));
	if (!strcmp(key, "object"))
		return (request->object = string()) != NULL;
	if (!strcmp(key, "programs"))
		return programs(request);
	if (!strcmp(key, "btf"))
		return text_or_null(&request->btf);
	if (!strcmp(key, "maps"))
		return maps(request);
	if (!strcmp(key, "pins"))
		return boolean(&request->pins);
	if (!strcmp(key, "log_size"))
		return number(&value); /* libbpf finds the size of its buffer itself, up to 16 MiB */
	return fail("it has a key that this contract does not know");
}

static char *whole_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	char *text = NULL;
	size_t length = 0, got = 0;

	while (file && !feof(file) && !ferror(file)) {
		text = realloc(text, length + 65536);
		got = fread(text + length, 1, 65535, file);
		length += got;
		text[length] = '\0';
	}
	if (file)
		fclose(file);
	return text;
}

const char *read_request(const char *path, struct request *request)
{
	*request = (struct request){.all = true};
	at = whole_file(path);
	if (!at)
		return "it cannot be read";
	if (!need('{'))
		return wrong;
	do {
		if (!member(request))
			return wrong;
	} while (take(','));
	if (!need('}'))
		return wrong;
	return request->object ? NULL : "it names no object";
}

bool is_wanted(const struct request *request, const char *program)
{
	for (size_t i = 0; i < request->program_count; i++)
		if (!strcmp(request->programs[i], program))
			return true;
	return request->all;
}
