/*
 * weir_effect.h - write an effect in C.
 *
 * An effect is a pure function of named inputs and params: it reads through the host's functions (each read is recorded as a dependency),
 * writes outputs and a value through them, and keeps no state between jobs. It runs in a worker process, one job at a time, on one thread; it
 * may block; it may be killed. Nothing here but plain C types. A plug-in exports one function, WEIR_PLUGIN_SYMBOL. effects/template.c is a complete
 * smallest one to copy.
 *
 * Structs start with their size and only grow at the end: check `size` before using a field that is newer than your header.
 */
#ifndef WEIR_EFFECT_H
#define WEIR_EFFECT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_EFFECT_ABI 1

typedef struct weir_job weir_job; /* one running of an effect; opaque */

/** What there may be of a member of an input. */
typedef enum weir_part {
    WEIR_PART_NAME = 1, /* of a node: its full name; of an item: its name; in a list of files: the path */
    WEIR_PART_PATH,     /* of its one file */
    WEIR_PART_PARAMS,   /* of a node, or of the node whose output it is: JSON text */
    WEIR_PART_VALUE,    /* of a node, variable, named value, tool or key: JSON text */
    WEIR_PART_CONTENT   /* of its one file */
} weir_part;

/** What the host offers. All functions return 0 or a negative code; after a failure the effect returns it. Pointers
 *  handed out are borrowed until the effect returns. Indexes count from 0; a port that is no list has one member. */
typedef struct weir_host {
    size_t size;
    uint32_t abi;

    /** Members behind an input port; recorded as a read of the list's names when the port is a list. */
    int (*input_count)(weir_job *job, const char *port, size_t *count);
    /** Content of a member's file (of a node's only output). Recorded. */
    int (*input_read)(weir_job *job, const char *port, size_t index, const char **data, size_t *size);
    /** Value of a member as JSON text; of a string or bytes value with `raw` the bytes themselves. A file member: its content. Recorded. */
    int (*input_value)(weir_job *job, const char *port, size_t index, int raw, const char **data, size_t *size);
    /** Path of a member's file, relative to the root, which is the working folder. Recorded. */
    int (*input_path)(weir_job *job, const char *port, size_t index, const char **path);
    /** Is there anything behind this port? Not recorded (it is declared). */
    int (*input_present)(weir_job *job, const char *port);

    /** Params: 0; absent (and without default): the `fallback` is handed out. A wrong type is a failure that names it. */
    int (*param_string)(weir_job *job, const char *name, const char *fallback, const char **text);
    int (*param_integer)(weir_job *job, const char *name, int64_t fallback, int64_t *number);
    int (*param_number)(weir_job *job, const char *name, double fallback, double *number);
    int (*param_boolean)(weir_job *job, const char *name, int fallback, int *truth);
    /** Any param as JSON text; NULL when absent. */
    int (*param_json)(weir_job *job, const char *name, const char **json, size_t *size);

    /** Append to an output. An output never written to is a failure at the end. */
    int (*output_write)(weir_job *job, const char *port, const void *data, size_t size);
    /** Append the content of an input member to an output, by the kernel where it can. Recorded as a read. */
    int (*output_copy)(weir_job *job, const char *port, const char *input, size_t index);
    /** A path to write this output to by other means (a library that wants a file name). */
    int (*output_temp)(weir_job *job, const char *port, const char **path);
    /** Permission bits of an output, default 0644. */
    int (*output_mode)(weir_job *job, const char *port, uint32_t mode);

    /** The node's value: JSON text, a string, or bytes. The last one counts. */
    int (*value_json)(weir_job *job, const char *json, size_t size);
    int (*value_string)(weir_job *job, const char *text, size_t size);
    int (*value_bytes)(weir_job *job, const void *data, size_t size);

    /** Read any file below the root; absent: 0 with *data NULL. Recorded either way. */
    int (*read_file)(weir_job *job, const char *path, const char **data, size_t *size);
    /** A line for the node's log. */
    void (*log)(weir_job *job, const char *text);
    /** Say why the effect fails; returns -1 to return. */
    int (*fail)(weir_job *job, const char *format, ...);
    /** Memory that lives until the effect returns; NULL when there is none. */
    void *(*memory)(weir_job *job, size_t size);

    /**
     * Wait until these are up to date: nodes by name, files by path. They are the members, in this order, of an input port whose name goes
     * to *port (may be NULL), and are read like all inputs. Recorded together, in full. A name that no node has is a failure
     * to return; an absent file is none until it is read. (Newer than `memory`: check `size`.)
     */
    int (*need)(weir_job *job, const char *const *names, size_t count, const char **port);
    /** Name of the input port with that number, in the order of their names; NULL behind the last. Not recorded (it is declared). */
    const char *(*input_port)(weir_job *job, size_t index);
    /** One part of a member; it has none: 0 with *data NULL. Recorded either way. A NUL is behind it. */
    int (*input_part)(weir_job *job, const char *port, size_t index, weir_part part, const char **data, size_t *size);

    /**
     * Folders: weir.folder, weir.tree, outputs that are folders. The paths of the files below, in byte order; none where no folder is. Recorded: a
     * file more or less, not what is in them. (Newer than `input_part`: check `size`.)
     */
    int (*input_files)(weir_job *job, const char *port, size_t index, const char *const **paths, size_t *count);
    /** One file of a folder by its path there; absent: 0 with *data NULL. Recorded: that file alone. */
    int (*input_file)(weir_job *job, const char *port, size_t index, const char *path, const char **data, size_t *size);
    /**
     * A file in an output that is a folder, "css/a.css": *file goes where the other functions take an output's port. It is there, and empty, even if
     * nothing is written. output_temp of the folder itself is a folder to write into by other means: what lies there in the end is the output.
     */
    int (*output_file)(weir_job *job, const char *port, const char *path, const char **file);
} weir_host;

/** Flags of ports and params. WEIR_FOLDER: an output that may be a folder ("public/"). WEIR_UNNAMED: the param is no part of the node's name, and may be written beside `params`, `inputs`. */
enum { WEIR_REQUIRED = 1, WEIR_LIST = 2, WEIR_UNNAMED = 4, WEIR_FOLDER = 8 };

typedef struct weir_port {
    const char *name;
    unsigned flags;
    const char *help;
} weir_port;

typedef struct weir_param {
    const char *name;     /* "*": others too, so that they can name the node */
    const char *type;     /* "string", "integer", "number", "boolean", "any" */
    unsigned flags;
    const char *fallback; /* JSON text filled in before hashing; NULL: none */
    const char *help;
} weir_param;

typedef struct weir_effect {
    size_t size;
    const char *name;    /* as in weir.NAME */
    const char *version; /* change it when results change */
    const char *help;
    const weir_port *inputs;  /* ended by a NULL name; NULL: any ports */
    const weir_port *outputs; /* ended by a NULL name; NULL: any ports */
    const weir_param *params; /* ended by a NULL name; NULL: any params */
    int (*run)(const weir_host *host, weir_job *job);
} weir_effect;

typedef struct weir_plugin {
    size_t size;
    uint32_t abi; /* WEIR_EFFECT_ABI */
    const weir_effect *const *effects; /* ended by NULL */
} weir_plugin;

/** The one exported function of a plug-in: returns a static struct. */
#define WEIR_PLUGIN_SYMBOL "weir_plugin_entry"
#define WEIR_PLUGIN_EXPORT                                                                         \
    __attribute__((visibility("default"))) const weir_plugin *weir_plugin_entry(void)

#ifdef __cplusplus
}
#endif
#endif
