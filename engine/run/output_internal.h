/*
 * output_internal.h - what the files of output, and recovery, share. Loop thread only.
 */
#ifndef WEIR_RUN_OUTPUT_INTERNAL_H
#define WEIR_RUN_OUTPUT_INTERNAL_H

#include "engine/run/output.h"
#include "engine/world/manifest.h"

/** What lies at the path of an output. */
typedef struct output_seen {
    os_stat link;      /* the path itself, links not followed */
    scan_request scan; /* what is behind it; code WEIR_WORKFLOW: nothing that can be read */
    bool differed;     /* item->disk_differs as it was before this look */
} output_seen;

static inline const char *output_path(const cat_item *item)
{
    return (const char *)item->name.data;
}

/** How this floor looks at outputs; usable before the engine is open. */
scan_config output_scan(const weir *w);
/** WEIR_FAILED when a folder on the way leads out of the root by now. */
int output_stays_inside(weir *w, const cat_item *item, weir_error *err);
/** Look; takes the signature and sets disk_differs. */
int output_look(weir *w, cat_item *item, output_seen *seen, weir_error *err);
/** output_keep_foreign for what was just looked at. */
int output_keep_seen(weir *w, cat_item *item, uint64_t node, const output_seen *seen, weir_error *err);
/** output_sign; a file that is not the one of `made` (inode, size, mtime) will be read again. */
int output_sign_as(weir *w, cat_item *item, hash128 hash, const os_stat *made, weir_error *err);

/**
 * Put what lies at a path into the store, committed on return: a file's content, a link's target.
 * WEIR_FAILED for what cannot be kept: a folder, a FIFO. WEIR_NOTFOUND. @param content  out: the name of the blob
 */
int output_store(weir *w, const char *path, hash128 *content, weir_error *err);
/** A new file below .weir/tmp, whatever was there. @return a descriptor, or a negative code */
int output_open_temp(weir *w, const char *temp, uint32_t mode, weir_error *err);
/** Make `temp` from the store; WEIR_NOTFOUND when the payload is missing or damaged: then there is no file. */
int output_from_store(weir *w, hash128 fingerprint, uint32_t mode, const char *temp, os_stat *made,
                      weir_error *err);
/** Is the item claimed by a node, declared as an input, or read by the workflow? */
int output_is_in_use(weir *w, const cat_item *item, bool *used, weir_error *err);
/** Is there an output of a node below this folder (without '/' at its end)? */
int output_is_needed(weir *w, bytes folder, bool *needed, weir_error *err);
/** The file of a vanished node is gone: said, and no longer believed in. */
void output_say_gone(weir *w, cat_item *item, hash128 hash);
/** Remove what vanished nodes made below a folder, as at the end of a run. */
int output_remove_below(weir *w, bytes folder, weir_error *err);
/** Remove the folders that this path lies in, where a vanished node made them as a whole. */
int output_remove_around(weir *w, bytes path, weir_error *err);
/** A file on the way to an output moves out, its content kept; WEIR_FAILED when it may not. */
int output_clear_way(weir *w, const cat_item *item, weir_error *err);
/** A file that lies where an output needs a folder: as above. */
int output_move_out(weir *w, cat_item *there, const cat_item *item, weir_error *err);
/** A folder at the path of an output goes if it holds nothing but what vanished nodes made; else WEIR_FAILED. */
int output_clear_folder(weir *w, const cat_item *item, weir_error *err);
/** WEIR_FAILED: a FIFO, a socket or a device is where an output belongs. */
int output_in_the_way(const char *path, weir_error *err);
/** Note that this content is about to be renamed to the path of the item; before the rename. */
int output_note(weir *w, const cat_item *item, hash128 hash, weir_error *err);
void output_note_folder(weir *w, const char *folder);
/** Undo what a killed engine put in place and did not record; before tmp is swept. */
int output_notes_recover(weir *w, mem_arena *arena, weir_error *err);
/* --- output_folder.c: items whose path ends in '/' --------------------------------------------------------------- */
/** What lies below and is not as in the tree believed in goes into the store; `silent`: recorded, not announced. */
int output_folder_keep(weir *w, cat_item *item, hash128 believed, uint64_t node, bool silent, weir_error *err);
/** The entries of one, as the state believes in it, in `arena`: from the store, or from disk if it is so there. WEIR_NOTFOUND. */
int output_folder_entries(weir *w, const cat_item *item, mem_arena *arena, manifest_entry **entries, size_t *count, weir_error *err);
/** Power loss does not take the large files of a tree that is in the store: those of its list, as of now. */
int output_folder_sync(weir *w, hash128 hash, weir_error *err);
/** Make everything below as the manifest says; WEIR_NOTFOUND: a payload is gone, nothing was touched. @param node  0: a recovery */
int output_folder_restore(weir *w, cat_item *item, hash128 hash, uint64_t node, weir_error *err);
/** After a kill: what is of the tree `coming` alone goes, and the one that the state believes in comes back. */
int output_folder_undo(weir *w, cat_item *item, hash128 coming, weir_error *err);
/** Remove what is as in the tree `made` and nobody else makes now; *left: files that are not so. */
int output_folder_remove(weir *w, cat_item *item, hash128 made, size_t *left, weir_error *err);
/** Say EVENT_FOREIGN_KEPT. */
void output_say_kept(weir *w, uint64_t item, hash128 content, uint64_t node);

#endif
