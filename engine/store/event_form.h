/*
 * event_form.h - how the body of each kind is laid out. For event_*.c alone.
 *
 * One table per kind (event.c) drives writing, reading and printing:
 *
 *   body = 1 (version), which fields follow (varint, bit n for field n), those fields in order
 *
 * A field that is zero, empty or without a hash is not written; a bool is its bit. So the order of a table is its format:
 * frequent fields stand first, new ones only ever go to the end, and that needs a new version.
 */
#ifndef WEIR_STORE_EVENT_FORM_H
#define WEIR_STORE_EVENT_FORM_H

#include "engine/store/event.h"

enum { EVENT_VERSION = 1 };

typedef enum field_type {
    FIELD_U64, FIELD_I64, FIELD_U32, FIELD_BOOL, FIELD_ENUM, FIELD_HASH, FIELD_TEXT,
    FIELD_NODE_SPEC, FIELD_EFFECT_SPEC, FIELD_VALUE, /* bytes; differ in print */
    FIELD_TEXTS, FIELD_IDS, FIELD_READS, FIELD_OUTPUTS, FIELD_REASONS, FIELD_SEEN, FIELD_ASIDES /* pointer and count */
} field_type;

/** Names of an enum by number; NULL where there is none. */
typedef struct event_names {
    const char *const *names;
    unsigned count;
} event_names;

typedef struct event_field {
    const char *name;
    field_type type;
    size_t offset;            /* of the value, or of the pointer of a list */
    size_t count_offset;      /* lists */
    const event_names *names; /* FIELD_ENUM */
} event_field;

typedef struct event_form {
    const char *name;
    const event_field *fields;
    unsigned count;
} event_form;

/** NULL for an unknown kind. */
const event_form *event_form_of(int kind);

extern const event_names EVENT_REASONS, EVENT_ASPECTS;

/* One read: bits of its head; above them the distance of its group from the one before. */
enum { READ_ASPECT = 7, READ_UNDECLARED = 8, READ_MEMBER = 16, READ_SUB = 32, READ_OF_NODE = 64, READ_GROUP_SHIFT = 7 };

/* One reason: bits of its head, above the kind; RARE_ bits are in a second byte, there with REASON_RARE. */
enum { REASON_KIND = 31, REASON_RARE = 32, REASON_SOURCE = 64 };
enum { RARE_OF_NODE = 1, RARE_OLD = 2, RARE_NEW = 4, RARE_NEW_IS_READ = 8, RARE_DETAIL = 16, RARE_ALL = 31 };

/* A new hash is looked for among the first so many reads of the same event. */
enum { REASON_READS = 64 };

/* One output: bit of its head, below the port. */
enum { OUTPUT_HASH = 1, OUTPUT_PORT_SHIFT = 1 };

#endif
