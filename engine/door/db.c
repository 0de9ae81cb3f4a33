/*
 * db.c - weir db: is everything stored as it was written; make the state anew.
 *
 * check reads only and can run beside an engine. rebuild takes the engine's lock.
 */
#include <fcntl.h>
#include <inttypes.h>

#include "engine/door/commands.h"
#include "engine/door/query.h"
#include "engine/store/chain.h"
#include "engine/store/fold.h"
#include "engine/store/jsonout.h"
#include "engine/store/log.h"

enum { DETAILS = 20 /* how many differences are told one by one, without -v */ };

/* One of the four checks. */
typedef struct finding {
    const char *name;
    uint64_t looked_at, bad;
    const char *unit;
    buf details; /* lines */
    weir_error err;
} finding;

typedef struct checking {
    const options *o;
    finding findings[4];
    size_t count;
    finding *now;
} checking;

static void note(finding *f, const options *o, const char *line)
{
    f->bad++;
    if (f->bad > DETAILS && !o->verbose) return;
    print_name(&f->details, bytes_str(line));
    buf_byte(&f->details, '\n');
}

static void on_difference(void *ctx, const char *line)
{
    checking *c = ctx;
    note(c->now, c->o, line);
}

static void on_bad_blob(void *ctx, hash128 hash, const char *why)
{
    checking *c = ctx;
    char hex[HASH_HEX];
    char line[256];
    snprintf(line, sizeof line, "blob %s: %.200s", hash_hex(hash, hex), why);
    note(c->now, c->o, line);
}

static void begin(checking *c, const char *name, const char *unit)
{
    c->now = &c->findings[c->count++];
    c->now->name = name;
    c->now->unit = unit;
}

/* Damage is a finding; anything else that went wrong is too: the check could not be made. */
static void end(checking *c, int rc)
{
    if (rc != 0) note(c->now, c->o, c->now->err.message);
}

static void check_all(checking *c, query *q)
{
    begin(c, "pages", NULL);
    end(c, db_integrity(q->d, &c->now->err));
    begin(c, "log", "events");
    end(c, log_verify(q->d, q->weirfd, &c->now->looked_at, &c->now->err));
    begin(c, "state", NULL);
    uint64_t differences = 0;
    end(c, fold_check(q->d, on_difference, c, &differences, &c->now->err));
    begin(c, "blobs", "blobs");
    end(c, blob_verify_all(q->blobs, q->d, on_bad_blob, c, &c->now->looked_at, &c->now->err));
}

static void put_text(buf *to, const finding *f)
{
    bool color = print_has_color(stdout);
    size_t start = to->size;
    buf_text(to, f->name);
    print_pad(to, start, 7);
    print_styled(to, color, f->bad ? STYLE_BAD : STYLE_GOOD, f->bad ? "damaged" : "sound");
    if (f->unit) {
        buf_text(to, ", ");
        print_count(to, f->looked_at);
        buf_printf(to, " %s", f->unit);
    }
    buf_byte(to, '\n');
    buf_append(to, f->details.data, f->details.size);
    if (f->bad > DETAILS) buf_printf(to, "%" PRIu64 " in all\n", f->bad);
}

static void put_json(buf *to, const checking *c, bool sound)
{
    jsonout_open(to, '{');
    jsonout_key(to, "sound");
    jsonout_bool(to, sound);
    for (size_t i = 0; i < c->count; i++) {
        const finding *f = &c->findings[i];
        jsonout_key(to, f->name);
        jsonout_open(to, '{');
        jsonout_key(to, "sound");
        jsonout_bool(to, f->bad == 0);
        if (f->unit) {
            jsonout_key(to, f->unit);
            jsonout_number(to, f->looked_at);
        }
        jsonout_key(to, "damaged");
        jsonout_number(to, f->bad);
        jsonout_member(to, "details", buf_bytes(&f->details));
        jsonout_close(to, '}');
    }
    jsonout_close(to, '}');
    buf_byte(to, '\n');
}

static int check(const options *o)
{
    query q;
    checking c = {.o = o};
    buf out;
    bool sound = true;
    buf_init(&out);
    int rc = query_open(&q, o);
    if (rc == 0) check_all(&c, &q);
    for (size_t i = 0; i < c.count; i++) sound = sound && c.findings[i].bad == 0;
    for (size_t i = 0; i < c.count && !o->json; i++)
        if (!o->quiet || c.findings[i].bad) put_text(&out, &c.findings[i]);
    if (rc == 0 && o->json) put_json(&out, &c, sound);
    print_out(&out);
    if (rc == 0 && !sound) {
        (void)fflush(stdout);
        print_hint("a damaged state is made anew by `weir db rebuild`; a damaged blob is made again when it is needed");
    }
    for (size_t i = 0; i < c.count; i++) buf_deinit(&c.findings[i].details);
    buf_deinit(&out);
    return query_end(&q, rc, sound ? EXIT_DONE : EXIT_INFRASTRUCTURE);
}

/* --- rebuild -------------------------------------------------------------------------------------------------------- */

/* Who holds the lock, as it wrote into the file. */
static int locked_by(const project *p, const char *path, weir_error *err)
{
    buf text;
    buf_init(&text);
    (void)os_read_file(AT_FDCWD, path, 400, &text, NULL);
    const char *who = buf_cstr(&text);
    error_set(err, WEIR_LOCKED, "another weir works in %s (%s); wait for it or end it", p->root, who && *who ? who : "it did not say who");
    buf_deinit(&text);
    return WEIR_LOCKED;
}

/* The lock of the engine; lives as long as the descriptor. */
static int take_lock(const project *p, int *fd, weir_error *err)
{
    buf path;
    buf_init(&path);
    buf_printf(&path, "%s/.weir/lock", p->root);
    const char *name = buf_cstr(&path);
    *fd = name ? os_openat(AT_FDCWD, name, OS_READ | OS_WRITE | OS_CREATE, 0600, err) : error_nomem(err, "taking the lock");
    int rc = *fd < 0 ? *fd : os_lock(*fd, name, err);
    if (rc == WEIR_LOCKED) rc = locked_by(p, name, err);
    buf_deinit(&path);
    return rc;
}

/* The side file tells of a log that is gone (a deleted or older database): whoever rebuilds goes on with the one that is there. */
static int renew_head(const project *p, db *d, weir_error *err)
{
    mem_arena arena;
    weir_error why = {0};
    chain_link last = {0};
    arena_init(&arena);
    const char *folder = arena_printf(&arena, "%s/.weir", p->root);
    int fd = folder ? os_openat(AT_FDCWD, folder, OS_READ | OS_FOLDER, 0, err) : error_nomem(err, "looking at the log");
    int rc = fd < 0 ? fd : chain_head_check(d, fd, &why);
    if (rc == WEIR_CORRUPT) {
        rc = chain_last(d, &last, err);
        if (rc == 0) rc = last.last_seq ? chain_head_write(fd, &last, err) : os_unlinkat(fd, "head", err);
        if (rc == 0) print_message("%s; from now on the log as it is counts", why.message);
    } else if (rc != 0 && fd >= 0) {
        *err = why;
    }
    os_close(fd);
    arena_deinit(&arena);
    return rc;
}

static int fold_anew(const project *p, uint64_t *events, weir_error *err)
{
    db *d = NULL;
    os_stat found = {0};
    int rc = os_statat(AT_FDCWD, p->db_path, true, &found, err);
    if (rc == 0 && found.type == OS_ABSENT) return error_set(err, WEIR_NOTFOUND, "nothing was recorded in %s yet", p->root);
    if (rc == 0) rc = db_open(&d, p->db_path, DB_WRITE, NULL, err);
    if (rc == 0) rc = fold_rebuild(d, events, err);
    if (rc == 0) rc = renew_head(p, d, err);
    db_close(d);
    return rc;
}

static void tell_rebuilt(const options *o, uint64_t events)
{
    buf out;
    buf_init(&out);
    if (o->json) {
        buf_printf(&out, "{\"events\":%" PRIu64 "}\n", events);
        print_out(&out);
    } else if (!o->quiet) {
        buf_text(&out, "weir: the state was made anew from ");
        print_count(&out, events);
        buf_text(&out, " events\n");
        print_err(&out);
    }
    buf_deinit(&out);
}

static int rebuild(const options *o)
{
    project p;
    weir_error err = {0};
    const char *hint = "";
    int lock = -1;
    uint64_t events = 0;
    int rc = project_find(&p, o, &err);
    if (rc == WEIR_NOTFOUND) hint = PROJECT_HINT;
    if (rc == 0) rc = take_lock(&p, &lock, &err);
    if (rc == 0) rc = fold_anew(&p, &events, &err);
    if (rc == 0) tell_rebuilt(o, events);
    int code = rc == 0 ? EXIT_DONE : print_failure(&err, hint);
    if (lock >= 0) os_close(lock);
    project_deinit(&p);
    return print_end(code);
}

int command_db(const options *o)
{
    if (strcmp(o->words[0], "check") == 0) return check(o);
    if (strcmp(o->words[0], "rebuild") == 0) return rebuild(o);
    print_message("there is no db %s", o->words[0]);
    print_hint("weir db check, weir db rebuild");
    return EXIT_USAGE;
}
