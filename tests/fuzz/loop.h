/*
 * loop.h - a fuzz driver as a libFuzzer target and as a plain test.
 *
 * A driver tests/fuzz/fuzz_<x>.c defines LLVMFuzzerTestOneInput, which aborts when a promise is broken, and fuzz_seed.
 * With -fsanitize=fuzzer,address it is a target; a test that includes the driver calls fuzz_loop, which changes
 * the seeds at random, but the same way each time. WEIR_FUZZ_ROUNDS says how often (default 20000).
 */
#ifndef WEIR_TESTS_FUZZ_LOOP_H
#define WEIR_TESTS_FUZZ_LOOP_H

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/** Append a well-formed input; false when there is none of that number. */
bool fuzz_seed(unsigned number, buf *to);

/** A broken promise: ends the process so that libFuzzer and ctest see it. */
static inline void fuzz_require(bool held, const char *what)
{
    if (held) return;
    fprintf(stderr, "fuzz: broken: %s\n", what);
    abort();
}

static inline uint64_t fuzz_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(2685821657736338717) >> 16;
}

/* One change: a bit, a byte, a cut, a piece doubled, a byte put in. */
static inline void fuzz_change(buf *b, uint64_t *state)
{
    size_t at = b->size ? (size_t)(fuzz_random(state) % b->size) : 0;
    uint64_t how = fuzz_random(state) % 8;
    if (b->size == 0 || how == 0) buf_byte(b, (uint8_t)fuzz_random(state));
    else if (how < 3) b->data[at] ^= (uint8_t)(1u << fuzz_random(state) % 8);
    else if (how < 5) b->data[at] = (uint8_t)fuzz_random(state);
    else if (how == 5) b->size = at;
    else if (how == 6) {
        size_t length = (size_t)(fuzz_random(state) % 16);
        if (length > b->size - at) length = b->size - at;
        if (buf_reserve(b, length)) {
            memmove(b->data + at + length, b->data + at, b->size - at);
            buf_commit(b, length);
        }
    } else {
        memmove(b->data + at, b->data + at + 1, b->size - at - 1);
        b->size--;
    }
}

/* In a block of its own size, so that a sanitizer sees a step behind it. */
static inline void fuzz_one(const buf *b)
{
    uint8_t *tight = malloc(b->size ? b->size : 1);
    if (!tight) abort();
    if (b->size) memcpy(tight, b->data, b->size);
    LLVMFuzzerTestOneInput(tight, b->size);
    free(tight);
}

static inline int fuzz_loop(void)
{
    const char *text = getenv("WEIR_FUZZ_ROUNDS");
    unsigned long rounds = text ? strtoul(text, NULL, 10) : 20000;
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    unsigned seeds = 0;
    buf b = {0};
    for (; fuzz_seed(seeds, &b); seeds++, buf_clear(&b)) fuzz_one(&b);
    for (unsigned long i = 0; i < rounds; i++, buf_clear(&b)) {
        fuzz_seed((unsigned)(fuzz_random(&state) % seeds), &b);
        for (uint64_t n = fuzz_random(&state) % 4; n != UINT64_MAX; n--) fuzz_change(&b, &state);
        fuzz_one(&b);
    }
    buf_deinit(&b);
    printf("%lu rounds over %u seeds\n", rounds, seeds);
    return 0;
}

#endif
