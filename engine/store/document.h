/*
 * document.h - one key of a JSON or TOML document.
 *
 * A key is names with dots between them, `site.title`, and positions in lists as in Lua: `authors[1].name` is of the first one. A name with
 * other characters than letters, digits, _ and - is quoted: `pages."a.b"`. A declared input that is a key (spec_member) has the key and
 * its default packed in `port`. Pure; any thread.
 */
#ifndef WEIR_STORE_DOCUMENT_H
#define WEIR_STORE_DOCUMENT_H

#include "engine/store/spec.h"
#include "engine/store/value.h"

/** Is this path one of a document: .json or .toml? */
bool document_is_one(bytes path);
/** Append the encoding of a document. WEIR_USAGE, WEIR_LIMIT: path:line:column and what is wrong. */
int document_parse(bytes path, bytes text, buf *to, weir_error *err);
/** WEIR_USAGE when the key is malformed. */
int document_check_key(bytes key, weir_error *err);
/** The encoding below a key; false: there is nothing. */
bool document_find(bytes encoded, bytes key, bytes *value);

/** Is this member a key of a document (and not the file as a whole)? */
bool document_is_key(const spec_member *m);
/** What `port` of such a member holds; fallback empty: none. */
void document_put_port(buf *b, bytes key, bytes fallback);
void document_get_port(bytes port, bytes *key, bytes *fallback);

#endif
