/*
 * undone.c - declarations that were begun and never got their table.
 *
 * `weir.sh "a"` gives a function that waits for the table {...}. Where it never comes, a node, an effect or a list would be missing without
 * a word, so the end of loading reports each that was not called once.
 *
 * A slot is used again once its table came: a workflow of a million nodes has one or two.
 */
#include "engine/script/loader.h"

uint32_t undone_begin(lua_State *L, loader *ld)
{
    uint32_t slot = ld->free_slot; /* 0: none, else index + 1 */
    if (slot == 0) {
        if (!MEM_GROW(ld->undone, ld->undone_capacity, ld->undone_count + 1)) return 0;
        slot = (uint32_t)++ld->undone_count;
        ld->undone[slot - 1] = (struct undone){0};
    } else {
        ld->free_slot = ld->undone[slot - 1].next_free;
    }
    struct undone *u = &ld->undone[slot - 1];
    source_position at = diagnose_position(L);
    u->file = at.file ? loader_file_number(ld, at.file) : 0;
    u->line = at.line;
    u->is_open = true;
    return slot;
}

void undone_done(loader *ld, uint32_t slot)
{
    if (slot == 0 || slot > ld->undone_count || !ld->undone[slot - 1].is_open) return;
    ld->undone[slot - 1].is_open = false;
    ld->undone[slot - 1].next_free = ld->free_slot;
    ld->free_slot = slot;
}

void undone_report(loader *ld)
{
    for (size_t i = 0; i < ld->undone_count; i++) {
        const struct undone *u = &ld->undone[i];
        if (!u->is_open) continue;
        source_position at = {u->file ? ld->files[u->file - 1] : NULL, u->line};
        diagnose(ld, at, NULL, "write its table behind the name: NAME \"x\" {...}; {} if there is nothing to say",
                 "this begins a declaration and gives it no table, so nothing is declared");
    }
}
