/*
 * os_internal.h - what the files of base/os share.
 */
#ifndef WEIR_BASE_OS_INTERNAL_H
#define WEIR_BASE_OS_INTERNAL_H

#include <errno.h>
#include <stdbool.h>

#include "engine/base/error.h"

/** "cannot <doing> <name>: <cause>"; WEIR_NOTFOUND for ENOENT and ENOTDIR, WEIR_NOMEM for ENOMEM, else WEIR_IO. */
int os_fail(weir_error *err, int errnum, const char *doing, const char *name);

static inline bool os_is_absent(int errnum)
{
    return errnum == ENOENT || errnum == ENOTDIR;
}

#endif
