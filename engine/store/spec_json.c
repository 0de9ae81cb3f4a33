/*
 * spec_json.c - declarations as JSON objects, every field by its name.
 *
 * Any thread.
 */
#include "engine/store/jsonout.h"
#include "engine/store/spec.h"
#include "engine/store/value.h"

const char *spec_item_name(int kind)
{
    static const char *const names[] = {"?", "file", "glob", "env", "value", "tool", "build", "folder", "tree", "link", [ITEM_NODE] = "node", [ITEM_MEMBER] = "member"};
    int count = (int)(sizeof names / sizeof *names);
    return kind >= ITEM_FILE && kind < count && names[kind] ? names[kind] : names[0];
}

const char *spec_job_name(int job)
{
    static const char *const names[] = {"pure", "batch", "ops", "daemon", "service"};
    return job >= JOB_PURE && job <= JOB_SERVICE ? names[job] : "?";
}

static const char *effect_kind_text(effect_kind kind)
{
    static const char *const names[] = {"?", "lua", "c", "command"};
    return names[kind >= EFFECT_LUA && kind <= EFFECT_COMMAND ? kind : 0];
}

static void write_strings(buf *to, const char *name, const bytes *texts, size_t count)
{
    jsonout_key(to, name);
    jsonout_open(to, '[');
    for (size_t i = 0; i < count; i++) jsonout_text(to, texts[i]);
    jsonout_close(to, ']');
}

static void write_flags(buf *to, uint32_t flags)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } known[] = {{SPEC_ALWAYS, "always"}, {SPEC_UPDATE, "update"}, {SPEC_NO_STORE, "no-store"}, {SPEC_SHELL, "shell"},
                 {SPEC_TRANSIENT, "transient"}, {SPEC_JOBSERVER, "jobserver"}, {SPEC_RESTART, "restart"},
                 {SPEC_IGNORE, "ignore"}};
    jsonout_key(to, "flags");
    jsonout_open(to, '[');
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (flags & known[i].bit) jsonout_string(to, known[i].name);
    jsonout_close(to, ']');
}

static void write_position(buf *to, const source_position *position)
{
    if (!position->file) return;
    jsonout_member(to, "file", bytes_str(position->file));
    jsonout_key(to, "line");
    jsonout_signed(to, position->line);
}

static void write_member(buf *to, const spec_member *m)
{
    static const char *const kinds[] = {"?", "item", "node", "output", "expansion"};
    jsonout_open(to, '{');
    jsonout_key(to, "kind");
    jsonout_string(to, m->kind == MEMBER_ITEM ? spec_item_name((int)m->item) : kinds[m->kind <= MEMBER_EXPAND ? m->kind : 0]);
    jsonout_key(to, "id");
    jsonout_number(to, m->id);
    if (m->name.size) jsonout_member(to, "name", m->name);
    if (m->kind == MEMBER_OUTPUT) jsonout_member(to, "port", m->port);
    jsonout_close(to, '}');
}

static void write_input(buf *to, const spec_input *in)
{
    jsonout_open(to, '{');
    jsonout_member(to, "port", in->port);
    jsonout_key(to, "list");
    jsonout_bool(to, in->is_list);
    jsonout_key(to, "members");
    jsonout_open(to, '[');
    for (size_t i = 0; i < in->count; i++) write_member(to, &in->members[i]);
    jsonout_close(to, ']');
    jsonout_close(to, '}');
}

static void write_output(buf *to, const spec_output *out)
{
    jsonout_open(to, '{');
    jsonout_member(to, "port", out->port);
    jsonout_key(to, "id");
    jsonout_number(to, out->id);
    if (out->path.size) jsonout_member(to, "path", out->path);
    jsonout_close(to, '}');
}

static void write_ports(buf *to, const node_spec *spec)
{
    jsonout_key(to, "inputs");
    jsonout_open(to, '[');
    for (size_t i = 0; i < spec->input_count; i++) write_input(to, &spec->inputs[i]);
    jsonout_close(to, ']');
    jsonout_key(to, "outputs");
    jsonout_open(to, '[');
    for (size_t i = 0; i < spec->output_count; i++) write_output(to, &spec->outputs[i]);
    jsonout_close(to, ']');
}

static void write_env(buf *to, const node_spec *spec)
{
    jsonout_key(to, "env");
    jsonout_open(to, '[');
    for (size_t i = 0; i < spec->env_count; i++) {
        jsonout_open(to, '{');
        jsonout_member(to, "name", spec->env[i].name);
        jsonout_member(to, "value", spec->env[i].value);
        jsonout_close(to, '}');
    }
    jsonout_close(to, ']');
}

static void write_limits(buf *to, const node_spec *spec)
{
    if (spec->pool.size) {
        jsonout_member(to, "pool", spec->pool);
        jsonout_key(to, "pool_depth");
        jsonout_number(to, spec->pool_depth);
    }
    if (spec->cpus) {
        jsonout_key(to, "cpus");
        jsonout_number(to, spec->cpus);
    }
    if (spec->mem_bytes) {
        jsonout_key(to, "mem_bytes");
        jsonout_number(to, spec->mem_bytes);
    }
}

int spec_to_json(const node_spec *spec, buf *to, weir_error *err)
{
    jsonout_open(to, '{');
    jsonout_member(to, "name", spec->name);
    jsonout_member(to, "base", spec->base);
    jsonout_member(to, "effect", spec->effect);
    jsonout_key(to, "effect_id");
    jsonout_number(to, spec->effect_id);
    jsonout_key(to, "params");
    int rc = value_to_json(spec->params.size ? spec->params : VALUE_EMPTY_OBJECT, 0, to, err);
    if (rc != 0) return rc;
    write_ports(to, spec);
    write_strings(to, "command", spec->command, spec->command_count);
    jsonout_member(to, "depfile", spec->depfile);
    write_env(to, spec);
    jsonout_member(to, "version", spec->version);
    write_flags(to, spec->flags);
    jsonout_key(to, "job");
    jsonout_string(to, spec_job_name((int)spec->job));
    jsonout_key(to, "retries");
    jsonout_number(to, spec->retries);
    jsonout_key(to, "timeout_ms");
    jsonout_number(to, spec->timeout_ms);
    write_limits(to, spec);
    write_position(to, &spec->position);
    jsonout_close(to, '}');
    return to->failed ? error_nomem(err, "printing a node") : 0;
}

const char *spec_policy_name(int policy)
{
    static const char *const names[] = {"track", "warn", "pin"};
    return policy >= 0 && policy <= CODE_PIN ? names[policy] : "?";
}

int effect_to_json(const effect_spec *spec, buf *to, weir_error *err)
{
    jsonout_open(to, '{');
    jsonout_member(to, "name", spec->name);
    jsonout_key(to, "kind");
    jsonout_string(to, effect_kind_text(spec->kind));
    jsonout_member(to, "version", spec->version);
    jsonout_key(to, "code");
    jsonout_hash(to, spec->code);
    if (spec->policy != CODE_TRACK) {
        jsonout_key(to, "code_policy");
        jsonout_string(to, spec_policy_name((int)spec->policy));
    }
    jsonout_member(to, "always", spec->always);
    jsonout_member(to, "library", spec->library);
    write_position(to, &spec->position);
    jsonout_close(to, '}');
    return to->failed ? error_nomem(err, "printing an effect") : 0;
}
