/*
 * luajob.h - a Lua effect being run: i, o, and what comes back.
 *
 * run(i, o): i.port is a member or a list, i.param a param, o.port an output; all reads go through
 * effect/job.h, which records
 * them. Objects of an execution that has ended raise when they are used. Worker processes only.
 */
#ifndef WEIR_SCRIPT_LUAJOB_H
#define WEIR_SCRIPT_LUAJOB_H

#include "engine/script/loader.h"

/** Make the types. Raises. */
void luajob_install(lua_State *L);
/** Perform an order with a Lua effect; the report lives as long as *out (job_free). */
int luajob_perform(loader *ld, const job_order *order, job **out, job_report *report,
                   weir_error *err);

#endif
