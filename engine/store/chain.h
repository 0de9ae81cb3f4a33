/*
 * chain.h - the hash chain over the log, and the side file with its newest synced value. For log.c.
 */
#ifndef WEIR_STORE_CHAIN_H
#define WEIR_STORE_CHAIN_H

#include "engine/store/batch.h"

/** One link: the chain up to and with last_seq. */
typedef struct chain_link {
    uint64_t last_seq; /* 0: nothing yet */
    hash128 hash;
} chain_link;

void chain_begin(hash_stream *stream, hash128 previous, uint64_t first_seq, uint64_t last_seq);
void chain_add(hash_stream *stream, const log_event *event);

/** Newest link in the database. */
int chain_last(db *d, chain_link *link, weir_error *err);
/** .weir/head; last_seq 0 when there is none. WEIR_CORRUPT when it cannot be read. */
int chain_head_read(int weir_dirfd, chain_link *link, weir_error *err);
/** Replace it, synced. */
int chain_head_write(int weir_dirfd, const chain_link *link, weir_error *err);
/** Does the database hold what the side file says was synced? */
int chain_head_check(db *d, int weir_dirfd, weir_error *err);

#endif
