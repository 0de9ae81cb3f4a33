/*
 * event.c - the kinds of events: their names, and the tables that say how a body is laid out.
 *
 * The order of the lines of a table is stored format (event_form.h): never change it, never take a line away.
 *
 * Any thread.
 */
#include "engine/store/event.h"

#include <stddef.h>

#include "engine/store/event_form.h"

#define COUNT(array) (unsigned)(sizeof(array) / sizeof *(array))

/* --- names ----------------------------------------------------------------------------------------------------- */

static const char *const REASON_NAMES[] = {
    [REASON_NEW] = "new",
    [REASON_INPUT_CHANGED] = "input-changed",
    [REASON_INPUTS_ADDED] = "inputs-added",
    [REASON_INPUTS_REMOVED] = "inputs-removed",
    [REASON_CODE_CHANGED] = "code-changed",
    [REASON_PARAMS_CHANGED] = "params-changed",
    [REASON_ENV_CHANGED] = "env-changed",
    [REASON_OUTPUT_MISSING] = "output-missing",
    [REASON_OUTPUT_MODIFIED] = "output-modified",
    [REASON_PREVIOUS_FAILED] = "previous-failed",
    [REASON_INTERRUPTED] = "interrupted",
    [REASON_VOIDED] = "voided",
    [REASON_RACED] = "raced",
    [REASON_IMPURE] = "impure",
    [REASON_FORCED] = "forced",
    [REASON_ALWAYS] = "always",
};
static const char *const OUTCOME_NAMES[] = {NULL, "ran", "restored", "unchanged", "failed", "blocked", "accepted"};
static const char *const RESULT_NAMES[] = {NULL, "ok", "failed", "transient", "interrupted", "raced", "impure"};
static const char *const ASPECT_TEXTS[] = {NULL, "content", "value", "names", "params", "path", "list", "outpath"};
static const char *const ITEM_NAMES[] = {NULL, "file", "glob", "env", "value", "tool", "build", "folder", "tree", "link", [ITEM_NODE] = "node", [ITEM_MEMBER] = "member"};
static const char *const RECOVERY_NAMES[] = {NULL, "again", "failed", "adopted", "restart"};
static const char *const JOB_NAMES[] = {"pure", "batch", "ops", "daemon", "service"};

const event_names EVENT_REASONS = {REASON_NAMES, COUNT(REASON_NAMES)};
const event_names EVENT_ASPECTS = {ASPECT_TEXTS, COUNT(ASPECT_TEXTS)};
static const event_names OUTCOMES = {OUTCOME_NAMES, COUNT(OUTCOME_NAMES)};
static const event_names RESULTS = {RESULT_NAMES, COUNT(RESULT_NAMES)};
static const event_names ITEMS = {ITEM_NAMES, COUNT(ITEM_NAMES)};
static const event_names RECOVERIES = {RECOVERY_NAMES, COUNT(RECOVERY_NAMES)};
static const event_names JOBS = {JOB_NAMES, COUNT(JOB_NAMES)};

static const char *name_in(const event_names *list, int number)
{
    const char *name = number >= 0 && (unsigned)number < list->count ? list->names[number] : NULL;
    return name ? name : "unknown";
}

const char *reason_name(reason_kind reason)
{
    return name_in(&EVENT_REASONS, (int)reason);
}

const char *outcome_name(outcome what)
{
    return name_in(&OUTCOMES, (int)what);
}

const char *event_kind_name(int kind)
{
    const event_form *form = event_form_of(kind);
    return form ? form->name : "unknown";
}

/* --- layouts --------------------------------------------------------------------------------------------------- */

#define FIELD(type, of, member) {#member, FIELD_##type, offsetof(of, member), 0, NULL}
#define NAMED(of, member, names) {#member, FIELD_ENUM, offsetof(of, member), 0, &(names)}
#define LIST(type, of, member, count) {#member, FIELD_##type, offsetof(of, member), offsetof(of, count), NULL}

static const event_field SESSION[] = {
    FIELD(TEXT, event_session, version),
    FIELD(TEXT, event_session, build),
    FIELD(TEXT, event_session, boot_id),
    FIELD(U64, event_session, pid),
};
static const event_field RUN_STARTED[] = {
    FIELD(TEXT, event_run_started, trigger),
    FIELD(U64, event_run_started, graph),
    LIST(TEXTS, event_run_started, targets, target_count),
    FIELD(BOOL, event_run_started, forced),
};
static const event_field RUN_FINISHED[] = {
    FIELD(U64, event_run_finished, turns),
    FIELD(U64, event_run_finished, duration_us),
    FIELD(BOOL, event_run_finished, complete),
    FIELD(U64, event_run_finished, ran),
    FIELD(U64, event_run_finished, unchanged),
    FIELD(U64, event_run_finished, cut_off),
    FIELD(U64, event_run_finished, restored),
    FIELD(U64, event_run_finished, failed),
    FIELD(U64, event_run_finished, blocked),
    FIELD(U64, event_run_finished, raced),
    FIELD(BOOL, event_run_finished, interrupted),
};
static const event_field ITEM_NAMED[] = {
    FIELD(U64, event_item_named, item),
    NAMED(event_item_named, kind, ITEMS),
    FIELD(TEXT, event_item_named, name),
};
static const event_field ITEM_OBSERVED[] = {
    FIELD(U64, event_item_observed, item),
    FIELD(HASH, event_item_observed, hash),
    FIELD(U64, event_item_observed, size),
    FIELD(U32, event_item_observed, mode),
};
static const event_field EFFECT[] = {
    FIELD(U64, event_effect, effect),
    FIELD(U64, event_effect, graph),
    FIELD(EFFECT_SPEC, event_effect, spec),
};
static const event_field NODE[] = {
    FIELD(U64, event_node, node),
    FIELD(U64, event_node, graph),
    FIELD(U64, event_node, height),
    FIELD(NODE_SPEC, event_node, spec),
    FIELD(U64, event_node, successor_of),
};
static const event_field NODE_REMOVED[] = {
    FIELD(U64, event_node_removed, node),
};
static const event_field DEFINITION[] = {
    FIELD(U64, event_definition, graph),
    FIELD(TEXT, event_definition, file),
    LIST(SEEN, event_definition, reads, read_count),
    LIST(TEXTS, event_definition, defaults, default_count),
    FIELD(TEXT, event_definition, always),
};
static const event_field STARTED[] = {
    FIELD(U64, event_started, execution),
    FIELD(U64, event_started, node),
    FIELD(HASH, event_started, token),
    NAMED(event_started, job, JOBS),
    LIST(ASIDES, event_started, asides, aside_count),
    LIST(IDS, event_started, fresh, fresh_count),
};
static const event_field SPAWNED[] = {
    FIELD(U64, event_spawned, execution),
    FIELD(U64, event_spawned, pid),
    FIELD(U64, event_spawned, start_ticks),
};
/* The first fourteen cost two bytes of "which fields follow"; the rest is rare. Reads stand before reasons. */
static const event_field FINISHED[] = {
    FIELD(U64, event_finished, execution),
    FIELD(U64, event_finished, node),
    NAMED(event_finished, result, RESULTS),
    FIELD(HASH, event_finished, key),
    FIELD(U64, event_finished, spec_seq),
    FIELD(U64, event_finished, effect_seq),
    LIST(READS, event_finished, reads, read_count),
    LIST(OUTPUTS, event_finished, outputs, output_count),
    LIST(REASONS, event_finished, reasons, reason_count),
    FIELD(U64, event_finished, started_us),
    FIELD(U64, event_finished, duration_us),
    FIELD(U64, event_finished, cpu_us),
    FIELD(U64, event_finished, memory_bytes),
    FIELD(BOOL, event_finished, changed),
    FIELD(HASH, event_finished, value),
    FIELD(HASH, event_finished, log),
    FIELD(HASH, event_finished, tool),
    FIELD(I64, event_finished, exit_code),
    FIELD(U64, event_finished, signal),
    FIELD(TEXT, event_finished, message),
    FIELD(BOOL, event_finished, known),
};
static const event_field SETTLED[] = {
    FIELD(U64, event_settled, node),
    {"outcome", FIELD_ENUM, offsetof(event_settled, what), 0, &OUTCOMES},
    FIELD(U64, event_settled, execution),
    FIELD(U64, event_settled, spec_seq),
    FIELD(U64, event_settled, effect_seq),
    LIST(REASONS, event_settled, reasons, reason_count),
    LIST(OUTPUTS, event_settled, outputs, output_count),
    FIELD(HASH, event_settled, value),
    FIELD(BOOL, event_settled, changed),
    FIELD(U64, event_settled, cause),
};
static const event_field OUTPUT_REMOVED[] = {
    FIELD(U64, event_output_removed, item),
    FIELD(HASH, event_output_removed, hash),
};
static const event_field FOREIGN_KEPT[] = {
    FIELD(U64, event_foreign_kept, item),
    FIELD(HASH, event_foreign_kept, hash),
    FIELD(U64, event_foreign_kept, node),
};
static const event_field FOLDER_MADE[] = {
    FIELD(TEXT, event_folder_made, path),
    FIELD(BOOL, event_folder_made, removed),
};
static const event_field PAYLOADS_SYNCED[] = {
    FIELD(U64, event_payloads_synced, seq),
};
static const event_field EDGE_FOUND[] = {
    FIELD(U64, event_edge_found, from),
    FIELD(U64, event_edge_found, to),
    FIELD(U64, event_edge_found, execution),
    FIELD(U64, event_edge_found, to_height),
};
static const event_field EDGE_DROPPED[] = {
    FIELD(U64, event_edge_dropped, from),
    FIELD(U64, event_edge_dropped, to),
};
static const event_field NODE_DUE[] = {
    FIELD(U64, event_node_due, node),
    NAMED(event_node_due, reason, EVENT_REASONS),
};
static const event_field VALUE_SET[] = {
    FIELD(U64, event_value_set, item),
    FIELD(VALUE, event_value_set, value),
};

static const event_field TRACES_DROPPED[] = {
    FIELD(U64, event_traces_dropped, node),
    FIELD(HASH, event_traces_dropped, key),
    LIST(IDS, event_traces_dropped, executions, execution_count),
    FIELD(BOOL, event_traces_dropped, voided),
};

static const event_field EXPANDED[] = {
    FIELD(U64, event_expanded, node),
    FIELD(HASH, event_expanded, value),
    LIST(IDS, event_expanded, children, child_count),
};

static const event_field RECOVERED[] = {
    FIELD(U64, event_recovered, execution),
    FIELD(U64, event_recovered, node),
    NAMED(event_recovered, how, RECOVERIES),
    FIELD(U64, event_recovered, pid),
    FIELD(U64, event_recovered, start_ticks),
};

#define FORM(kind, text) [EVENT_##kind] = {text, kind, COUNT(kind)}

static const event_form FORMS[] = {
    FORM(SESSION, "session"),
    FORM(RUN_STARTED, "run_started"),
    FORM(RUN_FINISHED, "run_finished"),
    FORM(ITEM_NAMED, "item_named"),
    FORM(ITEM_OBSERVED, "item_observed"),
    FORM(EFFECT, "effect"),
    FORM(NODE, "node"),
    FORM(NODE_REMOVED, "node_removed"),
    FORM(DEFINITION, "definition"),
    FORM(STARTED, "started"),
    FORM(SPAWNED, "spawned"),
    FORM(FINISHED, "finished"),
    FORM(SETTLED, "settled"),
    FORM(OUTPUT_REMOVED, "output_removed"),
    FORM(FOREIGN_KEPT, "foreign_kept"),
    FORM(FOLDER_MADE, "folder_made"),
    FORM(PAYLOADS_SYNCED, "payloads_synced"),
    FORM(EDGE_FOUND, "edge_found"),
    FORM(NODE_DUE, "node_due"),
    FORM(VALUE_SET, "value_set"),
    FORM(TRACES_DROPPED, "traces_dropped"),
    [EVENT_ACCEPTED] = {"accepted", FINISHED, COUNT(FINISHED)},
    FORM(EXPANDED, "expanded"),
    FORM(EDGE_DROPPED, "edge_dropped"),
    FORM(RECOVERED, "recovered"),
};

const event_form *event_form_of(int kind)
{
    return kind > 0 && (unsigned)kind < COUNT(FORMS) && FORMS[kind].name ? &FORMS[kind] : NULL;
}
