/*
 * db_schema.h - making and checking the tables of a database. For db.c.
 */
#ifndef WEIR_STORE_DB_SCHEMA_H
#define WEIR_STORE_DB_SCHEMA_H

#include "engine/store/db.h"

typedef enum db_identity {
    DB_FRESH, /* nothing in it yet */
    DB_OURS   /* a weir database of this version of the log */
} db_identity;

/** Reads only. WEIR_CORRUPT when it is another program's, WEIR_NEWER when a newer weir's. */
int db_schema_identify(db *d, db_identity *identity, weir_error *err);
/** All tables and views of a new database, in one transaction. */
int db_schema_create(db *d, weir_error *err);
/** Cache and views of another release are made anew, in one transaction. The state is left to fold_rebuild. */
int db_schema_refresh(db *d, weir_error *err);
/** Empty state tables in a database that has nothing else. */
int db_schema_shadow(db *d, weir_error *err);

#endif
