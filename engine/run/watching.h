/*
 * watching.h - which folders a run has relied on, and whether one of them moved since.
 */
#ifndef WEIR_RUN_WATCHING_H
#define WEIR_RUN_WATCHING_H

#include "engine/world/watch.h"

struct weir;

/** At the end of each run of a watch, while its signatures are in memory: what it relied on is watched from now on. */
void watching_cover(struct weir *w);

/** Before the hosts of a run end: what loading the workflow looked at, also of a broken one. */
void watching_definition(struct weir *w);

#endif
