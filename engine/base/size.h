/*
 * size.h - sizes as people write them: "2G", "512M", "64 KiB", "1000".
 */
#ifndef WEIR_BASE_SIZE_H
#define WEIR_BASE_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/** A number (it may have a fraction) with K, M, G or T behind it, powers of 1024; iB or B may follow. False: it is none. */
bool size_parse(const char *text, uint64_t *size_bytes);

#endif
