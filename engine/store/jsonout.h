/*
 * jsonout.h - printing JSON objects of fields: commas are set where they belong.
 *
 *     jsonout_open(b, '{');
 *     jsonout_key(b, "node");  jsonout_number(b, 12);
 *     jsonout_key(b, "hash");  jsonout_hash(b, hash);
 *     jsonout_close(b, '}');
 *
 * Failures show in the buf. Any thread.
 */
#ifndef WEIR_STORE_JSONOUT_H
#define WEIR_STORE_JSONOUT_H

#include "engine/base/hash.h"
#include "engine/base/memory.h"

/** '{' or '[', as a member of what is open. */
void jsonout_open(buf *b, char bracket);
void jsonout_close(buf *b, char bracket);
/** "name": in front of a value; `name` is printed as it is. */
void jsonout_key(buf *b, const char *name);
void jsonout_number(buf *b, uint64_t number);
void jsonout_signed(buf *b, int64_t number);
void jsonout_bool(buf *b, bool truth);
void jsonout_string(buf *b, const char *text); /* NULL: null */
void jsonout_text(buf *b, bytes text);
/** 32 hex digits, or null for HASH_NONE. */
void jsonout_hash(buf *b, hash128 hash);
/** Key and text; bytes that are not UTF-8 also as "<name>_base64". */
void jsonout_member(buf *b, const char *name, bytes text);

#endif
