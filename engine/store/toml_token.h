/*
 * toml_token.h - numbers and dates of TOML 1.0. For value_toml.c alone.
 */
#ifndef WEIR_STORE_TOML_TOKEN_H
#define WEIR_STORE_TOML_TOKEN_H

#include "engine/base/memory.h"

enum { TOML_TOKEN_MOST = 400 }; /* bytes of a token, without its end */

/** 0 to 15; -1: none. */
int toml_hex_digit(int c);
/** Does the text begin with a day of the calendar, as in 2024-02-29? */
bool toml_is_day(const char *text);
/** A day, a time, or both, with an offset or without one? */
bool toml_is_date(const char *text);
/** Appends an integer or a float, in any of their spellings; false: it is neither, or too large. */
bool toml_put_number(buf *to, const char *token);

#endif
