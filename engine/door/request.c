/*
 * request.c - see request.h.
 */
#include "engine/door/request.h"

#include "engine/door/query.h"

int words_sort(const options *o, request_words *r, weir_error *err)
{
    int rc = 0;
    r->targets = arena_zero(&r->arena, o->word_count + 1, sizeof *r->targets);
    r->values = arena_zero(&r->arena, o->word_count + 1, sizeof *r->values);
    if (!r->targets || !r->values) return error_nomem(err, "reading the command line");
    for (size_t i = 0; rc == 0 && i < o->word_count; i++) {
        if (session_is_assignment(o->words[i])) rc = session_assignment(&r->arena, o->words[i], &r->values[r->value_count++], err);
        else r->targets[r->target_count++] = o->words[i];
    }
    return rc;
}

/* --- targets written in a folder below the project ----------------------------------------------------------------- */

static bool has_outputs_below(query *q, const char *folder)
{
    buf first;
    buf last;
    buf_init(&first);
    buf_init(&last);
    buf_printf(&first, "%s/", folder);
    buf_printf(&last, "%s0", folder); /* '0' comes after '/' */
    db_stmt *s = query_get(q, SQL_DOOR_OUTPUTS_BELOW);
    if (s) db_bind_bytes(s, 1, buf_bytes(&first));
    if (s) db_bind_bytes(s, 2, buf_bytes(&last));
    bool has = s && query_step(q, s) == 1;
    if (s) db_reset(s);
    buf_deinit(&first);
    buf_deinit(&last);
    return has;
}

/* The path below the root, if `word` means an output or a folder of outputs as seen from the working folder. */
static const char *as_path(query *q, mem_arena *arena, const char *word)
{
    uint64_t id = 0;
    item_row item;
    const char *result = NULL;
    if (query_node_id(q, word, &id) != 0 || id != 0) return NULL;
    char *path = project_path(&q->project, word);
    if (path && *path && ((query_item_named(q, ITEM_FILE, bytes_str(path), &item) == 1 && item.node) || has_outputs_below(q, path)))
        result = arena_strdup(arena, path);
    mem_free(path);
    return result;
}

/* Paths that are plain to see need no database. */
void words_resolve(const options *o, request_words *r)
{
    query q;
    bool is_open = r->target_count > 0 && query_open_as_is(&q, o) == 0;
    bool is_below = is_open && *q.project.prefix;
    for (size_t i = 0; i < r->target_count; i++) {
        const char *word = r->targets[i];
        bool is_plain = word[0] == '/' || strncmp(word, "./", 2) == 0 || strncmp(word, "../", 3) == 0;
        const char *path = is_open && (is_below || is_plain) ? as_path(&q, &r->arena, word) : NULL;
        if (path) r->targets[i] = path;
        else if (is_open && is_plain) {
            char *inside = project_path(&q.project, word);
            if (inside && *inside) r->targets[i] = arena_strdup(&r->arena, inside);
            mem_free(inside);
        }
        if (!r->targets[i]) r->targets[i] = word; /* no memory: as written */
    }
    if (r->target_count > 0) query_close(&q);
}

/* --- a request ----------------------------------------------------------------------------------------------------- */

static unsigned run_flags(const options *o)
{
    return (o->dry ? WEIR_RUN_DRY : 0u) | (o->force ? WEIR_RUN_FORCE : 0u) | (o->stop_first ? WEIR_RUN_STOP_FIRST : 0u);
}

weir_request request_make(const options *o, const request_words *words, unsigned more, const char *trigger)
{
    return (weir_request){.size = sizeof(weir_request),
                          .targets = words->targets,
                          .target_count = words->target_count,
                          .values = words->values,
                          .value_count = words->value_count,
                          .jobs = o->jobs,
                          .flags = run_flags(o) | more,
                          .trigger = trigger,
                          .mem_bytes = o->mem_bytes,
                          .has_load = o->has_load,
                          .load = o->load};
}

/* --- telling ------------------------------------------------------------------------------------------------------- */

int reporting_open(reporting *to, const options *o, weir_error *err)
{
    *to = (reporting){0};
    if (o->json) to->lines = lines_new(o);
    else to->present = present_new(o);
    return to->lines || to->present ? 0 : error_nomem(err, "starting");
}

void reporting_close(reporting *to)
{
    present_free(to->present);
    lines_free(to->lines);
}

void reporting_listen(void *ctx, const weir_event *event)
{
    reporting *to = ctx;
    if (to->lines) lines_event(to->lines, event);
    else if (to->present) present_event(to->present, event);
}

int reporting_exit_code(int rc)
{
    if (rc == WEIR_CANCELLED || (rc != 0 && session_signal())) return EXIT_SIGNAL + (session_signal() ? session_signal() : 2);
    return print_exit_code(rc);
}

void reporting_error(const reporting *to, int rc, const weir_summary *summary, const session *s)
{
    bool told = rc == WEIR_FAILED && summary->failed + summary->blocked > 0;
    if (rc == 0 || told || rc == WEIR_CANCELLED) return;
    weir_error err = s->err;
    if (rc == WEIR_WORKFLOW && summary->errors > 0 && !err.message[0])
        error_set(&err, rc, "%llu errors in %s; nothing ran", (unsigned long long)summary->errors, s->project.workflow);
    if (to->lines) lines_error(to->lines, &err);
    print_failure(&err, s->hint);
}
