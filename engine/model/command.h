/*
 * command.h - the command of a node with its {{names}} filled in. Pure; any thread.
 */
#ifndef WEIR_MODEL_COMMAND_H
#define WEIR_MODEL_COMMAND_H

#include "engine/store/spec.h"

/** Where the expansion of {{name}} takes paths from. */
typedef struct command_source {
    const node_spec *node;
    /** Append the paths behind a member (one for a file, each output of a node); 0, or WEIR_WORKFLOW when it has none. */
    int (*member_paths)(void *ctx, const spec_member *member, mem_arena *arena, bytes **paths, size_t *count, weir_error *err);
    bytes (*output_path)(void *ctx, const spec_output *output);
    void *ctx;
} command_source;

typedef struct command_line {
    bytes *argv; /* in the arena; for SPEC_SHELL: one text */
    size_t count;
    struct command_list { /* {{port:file}}: files to write before the start, one path a line */
        bytes placeholder; /* as it stands in argv: "\x01list:<port>\x01" until command_place puts a path there */
        bytes *paths;
        size_t count;
    } *lists;
    size_t list_count;
} command_line;

/**
 * Expand {{port}}, {{param}}, {{port:file}}, {{output}} in the command of a node. In a shell text each value is shell-quoted and a
 * list is separated by blanks; in an argv a word that is exactly {{port}} becomes one word per path, elsewhere values are
 * joined by blanks. `{{{{` writes `{{`. Unknown names are WEIR_WORKFLOW with a did-you-mean.
 *
 * A param is a text, a number, true, false, or a list of these. The name of an input comes before that of an output, and
 * this before that of a param. Borrowed: nothing; all is in the arena.
 */
int command_expand(const command_source *source, mem_arena *arena, command_line *line, weir_error *err);
/**
 * A copy of the line in which the placeholder of list `index` is `path` (quoted for a shell text). The copy takes the place of
 * line->argv; the words of before stay valid in the arena.
 */
int command_place(command_line *line, size_t index, bytes path, bool shell, mem_arena *arena, weir_error *err);
/** What of an expanded line belongs into the key: its words, then those of its lists (their files have names that change). */
int command_words(const command_line *line, mem_arena *arena, bytes **words, size_t *count, weir_error *err);
/** Append `value` as one word of a POSIX shell: as it is if it holds nothing odd, else in single quotes. */
void command_quote(buf *to, bytes value);

#endif
