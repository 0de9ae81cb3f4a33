/*
 * chain.c - every transaction of the log is hashed together with the one before it.
 *
 *   link(n) = H("weir chain 1", link(n-1), first_seq, last_seq, for each event: run, at, kind, size of body, body)
 *
 * Numbers are 8 bytes, little-endian; link(0) is 16 zero bytes. The side file `head` is one line, "weir-head 1 <last_seq> <link in hex>".
 * It is written after the sync of the transaction that it names: it may lag behind the log and never leads, so a log that does not
 * hold its link has lost synced events, or is another one.
 *
 * Frozen. Any thread, with the connection of that thread.
 */
#include "engine/store/chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/os.h"
#include "generated/schema.h"

static void put_number(hash_stream *stream, uint64_t number)
{
    uint8_t le[8];
    for (int i = 0; i < 8; i++) le[i] = (uint8_t)(number >> (8 * i));
    hash_update(stream, le, sizeof le);
}

void chain_begin(hash_stream *stream, hash128 previous, uint64_t first_seq, uint64_t last_seq)
{
    hash_begin(stream);
    hash_update(stream, "weir chain 1", 12);
    hash_update(stream, previous.bytes, HASH_SIZE);
    put_number(stream, first_seq);
    put_number(stream, last_seq);
}

void chain_add(hash_stream *stream, const log_event *event)
{
    put_number(stream, event->run);
    put_number(stream, (uint64_t)event->at_us);
    put_number(stream, (uint64_t)event->kind);
    put_number(stream, event->body.size);
    hash_update(stream, event->body.data, event->body.size);
}

int chain_last(db *d, chain_link *link, weir_error *err)
{
    *link = (chain_link){0};
    db_stmt *s = db_get(d, SQL_LOG_CHAIN_LAST, err);
    if (!s) return err->code;
    int rc = db_step(s, err);
    if (rc == 1) *link = (chain_link){(uint64_t)db_int(s, 0), db_hash(s, 2)};
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/* --- the side file ----------------------------------------------------------------------------------------------- */

int chain_head_read(int weir_dirfd, chain_link *link, weir_error *err)
{
    buf text;
    char hex[HASH_HEX + 1];
    *link = (chain_link){0};
    buf_init(&text);
    int rc = os_read_file(weir_dirfd, "head", 256, &text, err);
    const char *line = rc == 0 ? buf_cstr(&text) : NULL;
    if (rc == 0 && !line) rc = error_nomem(err, "reading .weir/head");
    if (rc == 0 && (sscanf(line, "weir-head 1 %" SCNu64 " %33s", &link->last_seq, hex) != 2 || !hash_parse(hex, &link->hash)))
        rc = error_set(err, WEIR_CORRUPT, ".weir/head: not a line that weir wrote");
    buf_deinit(&text);
    if (rc == WEIR_NOTFOUND) return 0;
    return rc;
}

static int write_synced(int dirfd, const char *name, bytes content, weir_error *err)
{
    int fd = os_openat(dirfd, name, OS_WRITE | OS_CREATE | OS_TRUNC | OS_NOFOLLOW, 0666, err);
    if (fd < 0) return fd;
    int rc = os_write_all(fd, content.data, content.size, name, err);
    if (rc == 0) rc = os_fsync(fd, name, err);
    os_close(fd);
    return rc;
}

int chain_head_write(int weir_dirfd, const chain_link *link, weir_error *err)
{
    char hex[HASH_HEX];
    char line[96];
    snprintf(line, sizeof line, "weir-head 1 %" PRIu64 " %s\n", link->last_seq, hash_hex(link->hash, hex));
    int rc = write_synced(weir_dirfd, "head.new", bytes_str(line), err);
    os_kill_point("log_before_head");
    if (rc == 0) rc = os_renameat(weir_dirfd, "head.new", weir_dirfd, "head", err);
    return rc;
}

int chain_head_check(db *d, int weir_dirfd, weir_error *err)
{
    chain_link head;
    int rc = chain_head_read(weir_dirfd, &head, err);
    if (rc != 0 || head.last_seq == 0) return rc;
    db_stmt *s = db_get(d, SQL_LOG_CHAIN_AT, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)head.last_seq);
    rc = db_step(s, err);
    if (rc == 0)
        rc = error_set(err, WEIR_CORRUPT, "database %s: event %" PRIu64 " was synced and is not in the log any more", db_path(d), head.last_seq);
    else if (rc == 1 && !hash_equal(db_hash(s, 0), head.hash))
        rc = error_set(err, WEIR_CORRUPT, "database %s: the log up to event %" PRIu64 " is not the one that was synced", db_path(d), head.last_seq);
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/* --- checking all ------------------------------------------------------------------------------------------------ */

typedef struct verifier {
    db *d;
    chain_link previous;
    uint64_t events;
} verifier;

static int differs(const verifier *v, uint64_t first, uint64_t last, const char *why, weir_error *err)
{
    return error_set(err, WEIR_CORRUPT, "database %s: events %" PRIu64 " to %" PRIu64 ": %s", db_path(v->d), first, last, why);
}

static log_event event_of_row(db_stmt *s)
{
    return (log_event){(uint64_t)db_int(s, 0), (uint64_t)db_int(s, 1), db_int(s, 2), (int)db_int(s, 3), db_bytes(s, 4)};
}

/* Hash the events of one transaction; they must be all there. */
static int hash_events(verifier *v, uint64_t first, uint64_t last, hash128 *hash, weir_error *err)
{
    hash_stream stream;
    uint64_t next = first;
    int rc;
    chain_begin(&stream, v->previous.hash, first, last);
    db_stmt *s = db_get(v->d, SQL_LOG_EVENTS, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)first);
    db_bind_int(s, 2, (int64_t)last);
    while ((rc = db_step(s, err)) == 1) {
        log_event event = event_of_row(s);
        if (event.seq != next) break;
        chain_add(&stream, &event);
        next++;
    }
    db_reset(s);
    if (rc >= 0 && next != last + 1) rc = differs(v, first, last, "not all of them are there", err);
    *hash = hash_end(&stream);
    v->events += next - first;
    return rc < 0 ? rc : 0;
}

static int verify_link(verifier *v, db_stmt *link, weir_error *err)
{
    uint64_t last = (uint64_t)db_int(link, 0);
    uint64_t first = (uint64_t)db_int(link, 1);
    hash128 hash;
    if (first != v->previous.last_seq + 1 || last < first) return differs(v, first, last, "the chain has a gap before them", err);
    int rc = hash_events(v, first, last, &hash, err);
    if (rc != 0) return rc;
    if (!hash_equal(hash, db_hash(link, 2))) return differs(v, first, last, "they are not what was written", err);
    v->previous = (chain_link){last, hash};
    return 0;
}

static int verify_end(verifier *v, weir_error *err)
{
    db_stmt *s = db_get(v->d, SQL_LOG_EVENT_LAST, err);
    if (!s) return err->code;
    int rc = db_step(s, err);
    uint64_t last = rc == 1 ? (uint64_t)db_int(s, 0) : 0;
    db_reset(s);
    if (rc >= 0 && last != v->previous.last_seq)
        rc = differs(v, v->previous.last_seq + 1, last, "they are outside of the chain", err);
    return rc < 0 ? rc : 0;
}

static int verify_links(verifier *v, weir_error *err)
{
    db_stmt *links = db_get(v->d, SQL_LOG_CHAINS, err);
    if (!links) return err->code;
    int rc;
    while ((rc = db_step(links, err)) == 1) {
        rc = verify_link(v, links, err);
        if (rc != 0) break;
    }
    db_reset(links);
    if (rc == 0) rc = verify_end(v, err);
    return rc;
}

int log_verify(db *d, int weir_dirfd, uint64_t *events, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    verifier v = {.d = d};
    bool own = !db_in_transaction(d);
    int rc = own ? db_begin(d, err) : 0;
    if (rc != 0) return rc;
    rc = verify_links(&v, err);
    if (rc == 0) rc = chain_head_check(d, weir_dirfd, err);
    if (own) db_rollback(d);
    if (events) *events = v.events;
    return rc;
}
