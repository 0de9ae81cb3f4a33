/*
 * job_record.c - the record of what an effect read, and which group each read belongs to.
 *
 * Each thing is recorded once, at its first read, with the hash of what was really seen; the engine compares that with what it believed
 * when it wrote the order (`differs`: raced). A later run looks the recorded reads up group by group, and stops at the first
 * group with a change (store/trace.h). So a read must lie in a later group than whatever decided that it happens:
 *
 *   - What is declared is known up front: it exists, and is up to date, whatever other reads said. Declared reads join the group in progress.
 *   - A file that was not declared may have been chosen by anything read before, and its content may choose everything
 *     read after it. It gets a group of its own.
 *
 *     reads:   a (declared)  b (declared)  inc1 (found)  c (declared)  inc2 (found)
 *     group:   0             0             1             2             3
 *
 * The price is depth: an effect that finds 40 files is looked up in 41 steps. Reading declared inputs costs one.
 *
 * Worker processes only, one thread.
 */
#include "engine/effect/job_internal.h"

enum { REF_KEY = 21 };

static void put_u32(uint8_t *to, int32_t number)
{
    uint32_t word = (uint32_t)number;
    memcpy(to, &word, sizeof word);
}

static bytes ref_key(const read_ref *ref, uint8_t space[REF_KEY])
{
    space[0] = (uint8_t)ref->aspect;
    put_u32(space + 1, ref->port);
    put_u32(space + 5, ref->member);
    put_u32(space + 9, ref->sub);
    memcpy(space + 13, &ref->item, sizeof ref->item);
    return bytes_of(space, REF_KEY);
}

read_ref job_ref(read_aspect aspect, size_t port, size_t member, int sub)
{
    return (read_ref){.aspect = aspect, .port = (int32_t)port, .member = (int32_t)member, .sub = sub < 0 ? -1 : sub};
}

/* Which group the next read belongs to; see the file top. */
static uint32_t next_group(job *j, bool is_declared)
{
    if (j->is_need_open) return j->group;
    j->is_need_open = j->is_needing && !is_declared;
    bool is_new = j->is_group_closed || (!is_declared && j->read_count > 0);
    if (is_new) j->group++;
    j->is_group_closed = !is_declared;
    return j->group;
}

static job_seen *find(const job *j, bytes key, size_t *index)
{
    const uint64_t *at = map_get(&j->by_ref, key);
    if (!at) return NULL;
    *index = (size_t)*at;
    return &j->seen[*index];
}

/* Of a needed node: its one read was recorded before. */
static bool is_needed_part(const job *j, const read_ref *ref)
{
    return ref->port >= 0 && ref->aspect != ASPECT_OUTPATH && job_is_needed(j, (size_t)ref->port);
}

/* Adds a read that is not known yet; NULL with the error set. */
static job_seen *add(job *j, bytes key, const job_read *from)
{
    uint64_t *index = NULL;
    size_t need = j->read_count + 1;
    if (MEM_GROW(j->reads, j->read_capacity, need) && MEM_GROW(j->seen, j->seen_capacity, need))
        index = map_put(&j->by_ref, key, NULL);
    if (!index) {
        (void)job_failed(j, error_nomem(&j->error, "recording a read"));
        return NULL;
    }
    *index = j->read_count;
    job_read *read = &j->reads[j->read_count];
    *read = *from;
    read->group = is_needed_part(j, &from->ref) ? 0 : next_group(j, from->ref.port >= 0);
    job_seen *seen = &j->seen[j->read_count++];
    *seen = (job_seen){.has_content = false};
    return seen;
}

job_seen *job_find_read(const job *j, read_ref ref)
{
    uint8_t space[REF_KEY];
    size_t index;
    return find(j, ref_key(&ref, space), &index);
}

job_seen *job_record(job *j, read_ref ref, uint64_t source, bool source_is_node, hash128 hash, hash128 belief)
{
    uint8_t space[REF_KEY];
    size_t index;
    bytes key = ref_key(&ref, space);
    job_seen *seen = find(j, key, &index);
    if (seen) {
        if (!hash_equal(j->reads[index].hash, hash)) j->reads[index].differs = true; /* changed between two reads */
        return seen;
    }
    job_read read = {.ref = ref, .source = source, .source_is_node = source_is_node, .hash = hash};
    read.differs = !hash_is_none(belief) && !hash_equal(belief, hash);
    return add(j, key, &read);
}

/* --- files that were not declared ------------------------------------------------------------------------------------- */

/* They are known by their path, with a byte in front that no aspect has. */
static int path_key(job *j, bytes path, buf *key)
{
    buf_init(key);
    buf_byte(key, 0xff);
    buf_append(key, path.data, path.size);
    return key->failed ? job_failed(j, error_nomem(&j->error, "recording a read")) : 0;
}

int job_find_found(job *j, bytes path, job_seen **seen)
{
    buf key;
    size_t index;
    int rc = path_key(j, path, &key);
    *seen = rc == 0 ? find(j, buf_bytes(&key), &index) : NULL;
    buf_deinit(&key);
    return rc;
}

job_seen *job_record_found(job *j, bytes path, hash128 hash)
{
    buf key;
    job_read read = {.ref = {.aspect = ASPECT_CONTENT, .port = -1, .member = -1, .sub = -1}, .path = path, .hash = hash};
    job_seen *seen = path_key(j, path, &key) == 0 ? add(j, buf_bytes(&key), &read) : NULL;
    buf_deinit(&key);
    return seen;
}

/* --- needed nodes ------------------------------------------------------------------------------------------------------- */

job_seen *job_record_needed(job *j, bytes name, uint64_t item, hash128 hash)
{
    uint8_t space[REF_KEY];
    size_t index;
    read_ref ref = {.aspect = ASPECT_CONTENT, .port = -1, .member = -1, .sub = -1, .item = item};
    bytes key = ref_key(&ref, space);
    job_seen *seen = find(j, key, &index);
    if (seen) {
        if (!hash_equal(j->reads[index].hash, hash)) j->reads[index].differs = true;
        return seen;
    }
    return add(j, key, &(job_read){.ref = ref, .path = name, .source_is_node = true, .hash = hash});
}

void job_record_finish(job *j)
{
    size_t kept = 0, needed = SIZE_MAX;
    bool differs = false;
    for (size_t i = 0; i < j->read_count; i++) {
        if (is_needed_part(j, &j->reads[i].ref)) {
            if (j->reads[i].differs) differs = true;
            continue;
        }
        if (j->reads[i].ref.port < 0 && needed == SIZE_MAX) needed = kept;
        j->reads[kept++] = j->reads[i];
    }
    j->read_count = kept;
    if (differs && needed < kept) j->reads[needed].differs = true; /* what was looked at is not what was needed: raced */
}
