/*
 * settle_internal.h - what settle.c and settle_end.c share.
 */
#ifndef WEIR_RUN_SETTLE_INTERNAL_H
#define WEIR_RUN_SETTLE_INTERNAL_H

#include "engine/run/engine.h"

/** Tell the listener: node, effect and reasons of the task are filled in. */
void settle_tell(task *t, weir_event *event);

#endif
