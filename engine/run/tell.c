/*
 * tell.c - events for the listener, with names instead of numbers.
 */
#include <stdarg.h>
#include <stdio.h>

#include "engine/run/engine.h"

void tell(weir *w, const weir_event *event)
{
    if (!w->listener) return;
    weir_event full = *event;
    full.size = sizeof full;
    if (!full.node) full.node = "";
    if (!full.effect) full.effect = "";
    if (!full.outcome) full.outcome = "";
    if (!full.message) full.message = "";
    if (!full.cause) full.cause = "";
    if (w->plan) {
        full.open = plan_open(w->plan);
        full.running = w->commands_running + w->jobs_running;
        full.done = (size_t)(w->summary->ran + w->summary->restored + w->summary->failed + w->summary->blocked);
    }
    w->listener(w->listener_ctx, &full);
}

void tell_message(weir *w, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tell(w, &(weir_event){.kind = WEIR_EVENT_MESSAGE, .message = text});
}

void tell_started(task *t)
{
    weir *w = t->w;
    uint64_t id = t->node->id;
    bool added = true; /* without memory it is told twice */
    if (map_put(&w->begun_told, map_key_u64(&id), &added) && !added) return;
    tell(w, &(weir_event){.kind = WEIR_EVENT_STARTED, .node = (const char *)t->node->spec.name.data,
                          .effect = (const char *)t->node->spec.effect.data});
}

void tell_ended(task *t)
{
    uint64_t id = t->node->id;
    map_remove(&t->w->begun_told, map_key_u64(&id));
}

void tell_static(weir *w, definition *def, const source_position *at, const char *hint, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (def) def->errors++;
    if (def && def->findings) {
        buf_printf(def->findings, "%s%s%d: %s", def->errors > 1 ? "; " : "", at ? "entry " : "", at ? at->line : 0, text);
        if (hint) buf_printf(def->findings, " (%s)", hint);
        return;
    }
    weir_diagnostic d = {.file = at ? at->file : NULL, .line = at ? at->line : 0, .message = text, .hint = hint};
    tell(w, &(weir_event){.kind = WEIR_EVENT_DIAGNOSTIC, .diagnostic = &d});
}

weir_reason tell_reason(weir *w, mem_arena *arena, const reason_record *reason)
{
    weir_reason r = {.reason = reason_name(reason->kind), .input = "", .name = "", .old_hash = "", .new_hash = ""};
    char hex[HASH_HEX];
    bytes name = {0};
    if (reason->source != 0 && reason->source_is_node) {
        const cat_node *node = catalog_node(w->catalog, reason->source, NULL);
        if (node) name = node->spec.name;
    } else if (reason->source != 0) {
        const cat_item *item = catalog_item(w->catalog, reason->source, NULL);
        if (item) name = item->name;
    }
    if (name.size) r.name = (const char *)arena_bytes(arena, name).data;
    if (reason->detail.size) r.input = (const char *)arena_bytes(arena, reason->detail).data;
    if (!hash_is_none(reason->old_hash)) r.old_hash = arena_strdup(arena, hash_hex(reason->old_hash, hex));
    if (!hash_is_none(reason->new_hash)) r.new_hash = arena_strdup(arena, hash_hex(reason->new_hash, hex));
    if (!r.name || !r.input || !r.old_hash || !r.new_hash) r = (weir_reason){r.reason, "", "", "", ""};
    return r;
}
