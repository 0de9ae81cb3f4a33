/*
 * counters.c - where the work of a run went: counts, and the time of each phase.
 *
 * Most modules count from the start of the process or of the engine; `base` is what they said when the run began. A phase
 * lasts until the next one is entered, so the times of all phases add up to the run. Loop thread only.
 */
#include "engine/run/engine.h"
#include "engine/base/os.h"

static void add_phases(const weir *w, weir_counters *c)
{
    c->observe_us = (uint64_t)w->phase_ns[PHASE_OBSERVE] / 1000;
    c->definition_us = (uint64_t)w->phase_ns[PHASE_DEFINITION] / 1000;
    c->targets_us = (uint64_t)w->phase_ns[PHASE_TARGETS] / 1000;
    c->turns_us = (uint64_t)w->phase_ns[PHASE_TURNS] / 1000;
    c->finish_us = (uint64_t)w->phase_ns[PHASE_FINISH] / 1000;
}

void counters_fill(weir *w)
{
    weir_counters *c = &w->summary->counters;
    const weir_counters *base = &w->base;
    scan_counts scans = scan_stats();
    script_counts scripts = script_stats();
    db_counts writer = journal_counts(w->journal), reader = db_stats(catalog_db(w->catalog));
    c->files_stated = scans.stats - base->files_stated;
    c->files_hashed = scans.hashed - base->files_hashed;
    c->bytes_hashed = scans.hashed_bytes - base->bytes_hashed;
    c->statements = writer.statements + reader.statements - base->statements;
    c->rows_read = writer.rows_read + reader.rows_read - base->rows_read;
    c->rows_written = writer.rows_written + reader.rows_written - base->rows_written;
    c->transactions = writer.transactions - base->transactions;
    c->syncs = writer.syncs - base->syncs;
    c->nodes_loaded = catalog_nodes_loaded(w->catalog) - base->nodes_loaded;
    c->nodes_searched = w->plan_total.searched;
    c->keys_computed = w->keys_computed;
    c->probes = w->probes;
    c->processes_spawned = process_spawned(w->processes) - base->processes_spawned;
    c->hosts_started = scripts.hosts - base->hosts_started;
    c->workers_forked = scripts.workers - base->workers_forked;
    c->frames = scripts.frames - base->frames;
    c->events_appended = journal_events(w->journal) - base->events_appended;
    c->peak_memory = (uint64_t)os_peak_memory();
    counters_phase(w, w->phase);
    add_phases(w, c);
}

void counters_begin(weir *w)
{
    memset(w->phase_ns, 0, sizeof w->phase_ns);
    w->phase = PHASE_OBSERVE;
    w->phase_began_ns = w->started_ns;
    memset(&w->base, 0, sizeof w->base);
    counters_fill(w);
    w->base = w->summary->counters;
    memset(&w->summary->counters, 0, sizeof w->summary->counters);
}

void counters_phase(weir *w, run_phase phase)
{
    int64_t now = os_monotonic_ns();
    w->phase_ns[w->phase] += now - w->phase_began_ns;
    w->phase_began_ns = now;
    w->phase = phase;
}
