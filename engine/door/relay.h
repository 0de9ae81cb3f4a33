/*
 * relay.h - events and ends of runs as lines between a watch and who asked it, and back again.
 *
 * An event is the object that `run --json` prints, with "done", "open" and "running" besides;
 * captured output goes ahead of its event in
 * lines {"log":"..."} of at most RELAY_LOG bytes each. What is read back is equal to what was
 * written, so that it is shown as if
 * the run were one's own. One thread.
 */
#ifndef WEIR_DOOR_RELAY_H
#define WEIR_DOOR_RELAY_H

#include "engine/base/memory.h"
#include "engine/weir.h"

enum { RELAY_LOG = 256 * 1024 };

/** Append the lines of an event; nothing when there is nothing to say. */
void relay_put_event(buf *to, const weir_event *event);
/** Append {"end":"run",...}: what weir_run gave. */
void relay_put_end(buf *to, const weir_summary *summary, int rc, const weir_error *err);

/** A string, or {"base64":"..."} where it is no UTF-8. */
void relay_put_bytes(buf *to, bytes text);
/** The member of an object that relay_put_bytes wrote, with a NUL behind it, in the arena; NULL: it is not there. */
const char *relay_text(mem_arena *arena, bytes object, const char *name);
/** The same of an encoding by itself. */
const char *relay_text_of(mem_arena *arena, bytes encoded);
/** A member that is a number; 0: it is not there. */
int64_t relay_number(bytes object, const char *name);
double relay_real(bytes object, const char *name);
bool relay_is_true(bytes object, const char *name);

typedef struct relay_reader {
    mem_arena arena; /* of the last event */
    buf log;
} relay_reader;

void relay_reader_init(relay_reader *r);
void relay_reader_deinit(relay_reader *r);

typedef enum relay_kind { RELAY_OTHER, RELAY_PART, RELAY_EVENT, RELAY_END } relay_kind;
/**
 * Understand one line, as an encoding (value_from_json).
 * @param event  out for RELAY_EVENT; borrowed until the next call
 */
relay_kind relay_read(relay_reader *r, bytes object, weir_event *event,
                      weir_diagnostic *diagnostic);
/** What RELAY_END says. */
void relay_read_end(bytes object, weir_summary *summary, int *rc, weir_error *err);

#endif
