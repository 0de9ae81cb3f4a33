/*
 * output.h - what nodes make, as files on disk and in the store.
 *
 *   output.c          foreign content, placing            output_restore.c    what is stored comes back
 *   output_room.c     what is in the way                  output_vanish.c     what nobody makes any more
 *   output_folder.c   folders as outputs                  output_member.c     one file of a folder
 *   output_note.c     what was placed and not committed   output_transient.c  files that are there only while they are needed
 *
 * Loop thread only.
 */
#ifndef WEIR_RUN_OUTPUT_H
#define WEIR_RUN_OUTPUT_H

#include "engine/run/engine.h"

/* --- output.c ---------------------------------------------------------------------------------------------------- */
/** Foreign content at the path of an output goes into the store first (P13), with a message. */
int output_keep_foreign(weir *w, cat_item *item, uint64_t node, weir_error *err);
/** Nothing that is no file is at its path or on the way to it afterwards; WEIR_FAILED when that is not to be had. */
int output_make_room(weir *w, cat_item *item, weir_error *err);
/** Rename a finished temporary file to its place; an equal old file stays. The signature is taken. */
int output_place(weir *w, cat_item *item, const char *temp, hash128 hash, uint64_t size, uint32_t mode, uint64_t node, weir_error *err);
/** Write an output from its blob if it is not there already; WEIR_NOTFOUND when the blob is gone. *written says whether it was. */
int output_restore(weir *w, cat_item *item, const output_record *want, uint64_t node, bool *written, weir_error *err);
/** Is the file on disk what the catalog says (by signature, or read)? */
int output_is_good(weir *w, cat_item *item, bool *good, weir_error *err);
/** Does a link lie at the path of an output? It is none, whatever it leads to (output_link.c). */
bool output_is_link(const weir *w, bytes path);
/** A command made a link: what it leads to takes its place as a file. @param seen  the look that put it into the record; WEIR_FAILED: changed since */
int output_make_plain(weir *w, cat_item *item, scan_request *seen, weir_error *err);
/** Take the signature of a path that was just written. */
int output_sign(weir *w, cat_item *item, hash128 hash, weir_error *err);
/** Remove outputs of vanished nodes, and folders; the last step of a full run. *gone: one is recorded as gone from now on. */
int output_remove_vanished(weir *w, bool *gone, weir_error *err);
/** The folders on the way to an output. */
int output_make_parents(weir *w, const cat_item *item, weir_error *err);
void output_made_folder(void *ctx, const char *folder); /* for os_make_parents; ctx: weir */
/**
 * Put what a scan with SCAN_KEEP brought into the store. Payloads lie under their plain content hash; for an executable a tiny blob
 * under its fingerprint leads there (output_blob_of). Looks at row (taken), content and mode only.
 */
int output_keep_payload(weir *w, scan_request *r, weir_error *err);
/** The name of the blob behind a fingerprint; WEIR_NOTFOUND when an executable's is not in the store. Others: not looked up. */
int output_blob_of(weir *w, hash128 fingerprint, uint32_t mode, hash128 *content, weir_error *err);

/** Folders as outputs (output_folder.c). Room for one, and the folders on the way to it; WEIR_FAILED: something else is there. */
int output_folder_way(weir *w, const cat_item *item, weir_error *err);
/** Is the manifest in the store, with all that it names? */
int output_folder_is_stored(weir *w, hash128 hash, bool *stored, weir_error *err);
/**
 * The tree that a job has made in `temp` goes to its place, file by file; equal ones stay. Payloads are committed before. `temp` is gone afterwards
 * when all went well. @param hash  of the new tree
 */
int output_folder_place(weir *w, cat_item *item, const char *temp, hash128 hash, uint64_t node, weir_error *err);
/** Files of a new tree that are as in the old one, which lies aside, get the old file back. */
int output_folder_adopt(weir *w, const cat_item *item, const char *aside, hash128 old, weir_error *err);
/** The folder output that a path lies below; *folder NULL: none. */
int output_folder_above(weir *w, bytes path, const cat_item **folder, weir_error *err);

/* --- output_member.c --------------------------------------------------------------------------------------------- */
/** Set hash and mode of an item of kind `member` to what its folder says; HASH_NONE: that is not known. *folder: the one above; NULL: none. */
int output_member_look(weir *w, cat_item *member, const cat_item **folder, weir_error *err);
/** The file `below` in this output, looked at; *member NULL: it is no folder. */
int output_member_in(weir *w, uint64_t output, bytes below, cat_item **member, weir_error *err);
/** Hash of the names in it, as a worker lists them. */
int output_member_names(weir *w, const cat_item *folder, hash128 *hash, bool *known, weir_error *err);
/** How many files are in it; *plain: nothing else is, but folders with files. */
int output_member_count(weir *w, const cat_item *folder, size_t *files, bool *plain, weir_error *err);
/** A path that was read: *member if it lies in a folder output, looked at. WEIR_FAILED: the folder is no input of this node. */
int output_member_found(task *t, bytes path, cat_item **member, weir_error *err);
/** WEIR_FAILED: the member is a file in a folder, which was made without it. */
int output_member_check(task *t, const spec_member *m, bytes port, weir_error *err);
/** A path without the '/' at its end; in `arena`, NULL: no memory. */
const char *output_plain_path(mem_arena *arena, bytes path);

/** Outputs of transient nodes (output_transient.c): this one's are on disk; away with all, at the end of a full run. */
int output_transient_used(weir *w, const cat_node *node, weir_error *err);
int output_drop_transient(weir *w, weir_error *err);
/** After any other run: what is on disk is looked at by the next one, which says so with output_transient_seen. */
int output_leave_transient(weir *w, weir_error *err);
int output_transient_seen(weir *w, const cat_item *item, weir_error *err);
/** Is it fine that there is no file? */
bool output_is_dropped(weir *w, const cat_item *item);
/** The outputs of a settled transient node are there again, or *missing. The same for one declared input, or all that a job does not ask for;
 *  *maker: who must run again. */
int output_bring_back(weir *w, uint64_t maker, bool *missing, weir_error *err);
int output_bring_member(task *t, const spec_member *m, uint64_t *maker, weir_error *err);
int output_bring_inputs(task *t, uint64_t *maker, weir_error *err);
/** Drop the notes of what was put in place (output_note.c): everything that was said is committed. */
void output_notes_committed(weir *w);
/** Between two nodes: too many notes are dropped after a commit. */
int output_notes_trim(weir *w, weir_error *err);
void output_notes_free(weir *w);
/** Is the payload behind a fingerprint in the store? *content: its name then. */
int output_is_stored(weir *w, hash128 fingerprint, uint32_t mode, hash128 *content, bool *stored,
                     weir_error *err);

#endif
