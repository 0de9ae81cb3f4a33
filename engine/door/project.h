/*
 * project.h - which project the program works on.
 *
 * The nearest folder, from the working folder (or -C) upwards, that has a .weir or a weir.lua. One thread.
 */
#ifndef WEIR_DOOR_PROJECT_H
#define WEIR_DOOR_PROJECT_H

#include "engine/base/memory.h"
#include "engine/door/options.h"

typedef struct project {
    char *root;        /* absolute, links resolved; owned */
    char *workflow;    /* the definition file below the root; owned */
    bool has_workflow; /* it is there */
    char *prefix;      /* the working folder below the root, "" or ending in '/'; owned */
    char *db_path;     /* owned */
} project;

/** WEIR_NOTFOUND when there is no project; the message names the folder. Deinit also after a failure. */
int project_find(project *p, const options *o, weir_error *err);
void project_deinit(project *p);
/** A path as a person wrote it, seen from the working folder, as one below the root; NULL: it is not below it. Owned, mem_free. */
char *project_path(const project *p, const char *written);

extern const char PROJECT_HINT[];

#endif
