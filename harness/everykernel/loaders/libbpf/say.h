/* SPDX-License-Identifier: Apache-2.0 */
/* What an adapter says: one event a line, written at once, so that it is kept whatever happens next. */
#pragma once
#include <stdbool.h>

void say_begin(const char *event);
void say_text(const char *key, const char *value); /* NULL: null; at most its first and last half MiB */
void say_number(const char *key, long long value);
void say_null(const char *key);
void say_errno(int err); /* the key "errno": its name, null for 0 and for what Linux has not */
void say_raw(const char *lines); /* whole events that were put together before */
void say_end(void);
