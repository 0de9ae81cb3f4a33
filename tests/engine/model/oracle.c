/*
 * oracle.c - see oracle.h. Included by the tests that use it.
 */
#include <string.h>

#include "tests/engine/model/oracle.h"

void oracle_init(oracle *o, int count)
{
    memset(o, 0, sizeof *o);
    o->count = count;
}

void oracle_turn(oracle *o)
{
    memset(o->wait, 0, sizeof o->wait);
    memset(o->state, 0, sizeof o->state);
    memset(o->again, 0, sizeof o->again);
    o->started = 0;
}

void oracle_due(oracle *o, int node)
{
    if (o->state[node] == ORACLE_IDLE) o->state[node] = ORACLE_DUE;
    if (o->state[node] == ORACLE_SETTLED) o->again[node] = true;
}

void oracle_start(oracle *o, int node)
{
    o->state[node] = ORACLE_RUNNING;
    o->started++;
}

void oracle_settle(oracle *o, int node, bool changed)
{
    o->state[node] = ORACLE_SETTLED;
    for (int user = 0; user < o->count && changed; user++) {
        if (!o->edge[node][user] && !o->wait[node][user]) continue;
        oracle_due(o, user);
        if (o->state[user] == ORACLE_RUNNING) o->again[user] = true;
    }
}

void oracle_wait(oracle *o, int node, int on)
{
    o->wait[on][node] = true;
    o->state[node] = ORACLE_DUE;
    o->started--;
}

static bool walk(const oracle *o, int from, int to, bool through_settled, bool *seen)
{
    for (int user = 0; user < o->count; user++) {
        if (!o->edge[from][user] && !o->wait[from][user]) continue;
        if (user == to) return true;
        if (seen[user] || (!through_settled && o->state[user] == ORACLE_SETTLED)) continue;
        seen[user] = true;
        if (walk(o, user, to, through_settled, seen)) return true;
    }
    return false;
}

bool oracle_reaches(const oracle *o, int from, int to, bool through_settled)
{
    bool seen[ORACLE_NODES] = {false};
    return walk(o, from, to, through_settled, seen);
}

bool oracle_ready(const oracle *o, int node)
{
    if (o->state[node] != ORACLE_DUE) return false;
    for (int other = 0; other < o->count; other++) {
        if (o->state[other] != ORACLE_DUE && o->state[other] != ORACLE_RUNNING) continue;
        if (oracle_reaches(o, other, node, false)) return false;
    }
    return true;
}

int oracle_count(const oracle *o, oracle_state state)
{
    int count = 0;
    for (int node = 0; node < o->count; node++) count += o->state[node] == state;
    return count;
}
