/*
 * key.c - the key of a node, component by component. Scheme 1, frozen.
 *
 * Each component is the hash of a typed stream; every value is told apart by a tag byte and its length or count, so that no two
 * sequences of values give one stream:
 *
 *   "weir component 1" c      c: one byte, the number of the component
 *   'n' 8 bytes               a number, little-endian
 *   's' 8 bytes, then bytes   a text: its length, little-endian, then the bytes
 *   'l' 8 bytes               a list: its count, little-endian; its entries follow
 *   'h' 16 bytes              a hash
 *
 *   effect    s name, n kind
 *   version   s of the effect, s of the node
 *   code      h; none for an effect whose results outlive its code (code = "warn", "pin")
 *   params    s canonical object (an absent one is the empty object)
 *   ports     l inputs: s port, n is a list, l members:
 *                 n 1, n item kind, s name, s default (named values that have one) | n 2 (a whole node), s "" | n 3 (an output of a node), s port
 *             l outputs: s port
 *   env       l: s name, s value
 *   command   l words, n is shell text, s depfile, n is updating; another effect than a command: l 0 alone
 *   tool      h
 *
 *   key = H("weir key 1", the components in order, 16 bytes each)
 *
 * Pure; any thread.
 */
#include "engine/model/key.h"

#include "engine/store/value.h"

const char *key_component_name(key_component which)
{
    static const char *const names[KEY_COMPONENTS] = {"effect", "version", "code", "params",
                                                      "ports",  "env",     "command", "tool"};
    return (size_t)which < KEY_COMPONENTS ? names[which] : "unknown";
}

/* Values are a few bytes each, and a list may have 100,000: they are gathered before they are hashed. */
typedef struct component {
    hash_stream stream;
    uint8_t gathered[1024];
    size_t size;
} component;

static void flush(component *to)
{
    hash_update(&to->stream, to->gathered, to->size);
    to->size = 0;
}

static void put_bytes(component *to, const void *data, size_t size)
{
    if (size > sizeof to->gathered - to->size) flush(to);
    if (size > sizeof to->gathered) {
        hash_update(&to->stream, data, size);
        return;
    }
    if (size > 0) memcpy(to->gathered + to->size, data, size);
    to->size += size;
}

static void put_tagged(component *to, char tag, uint64_t number)
{
    uint8_t packed[9] = {(uint8_t)tag};
    for (unsigned i = 0; i < 8; i++) packed[1 + i] = (uint8_t)(number >> (8 * i));
    put_bytes(to, packed, sizeof packed);
}

static void put_number(component *to, uint64_t number)
{
    put_tagged(to, 'n', number);
}

static void put_list(component *to, size_t count)
{
    put_tagged(to, 'l', count);
}

static void put_text(component *to, bytes text)
{
    put_tagged(to, 's', text.size);
    put_bytes(to, text.data, text.size);
}

static void put_hash(component *to, hash128 hash)
{
    put_bytes(to, "h", 1);
    put_bytes(to, hash.bytes, HASH_SIZE);
}

/* --- components -------------------------------------------------------------------------------------------------- */

static bool put_item(const key_source *source, component *to, const spec_member *member)
{
    bytes name = member->id ? source->item_name(source->ctx, member->id) : member->name;
    put_number(to, (uint64_t)member->item);
    put_text(to, name);
    if (member->port.size) put_text(to, member->port);
    return name.size > 0;
}

static bool put_member(const key_source *source, component *to, const spec_member *member)
{
    put_number(to, (uint64_t)member->kind);
    switch (member->kind) {
    case MEMBER_ITEM: return put_item(source, to, member);
    case MEMBER_NODE: put_text(to, (bytes){NULL, 0}); return true;
    case MEMBER_EXPAND: return false; /* replaced by what it stands for */
    case MEMBER_OUTPUT: put_text(to, member->port); return true;
    }
    return false;
}

static bool put_ports(const key_source *source, component *to)
{
    const node_spec *node = source->node;
    bool ok = true;
    put_list(to, node->input_count);
    for (size_t i = 0; i < node->input_count; i++) {
        const spec_input *input = &node->inputs[i];
        put_text(to, input->port);
        put_number(to, input->is_list);
        put_list(to, input->count);
        for (size_t j = 0; j < input->count && ok; j++) ok = put_member(source, to, &input->members[j]);
    }
    put_list(to, node->output_count);
    for (size_t i = 0; i < node->output_count; i++) put_text(to, node->outputs[i].port);
    return ok;
}

static void put_env(const node_spec *node, component *to)
{
    put_list(to, node->env_count);
    for (size_t i = 0; i < node->env_count; i++) {
        put_text(to, node->env[i].name);
        put_text(to, node->env[i].value);
    }
}

static void put_command(const key_source *source, component *to)
{
    bool is_command = source->effect->kind == EFFECT_COMMAND;
    put_list(to, is_command ? source->command_count : 0);
    if (!is_command) return;
    for (size_t i = 0; i < source->command_count; i++) put_text(to, source->command[i]);
    put_number(to, (source->node->flags & SPEC_SHELL) != 0);
    put_text(to, source->node->depfile);
    put_number(to, (source->node->flags & SPEC_UPDATE) != 0);
}

/* false: the component cannot be hashed. */
static bool put_component(const key_source *source, key_component which, component *to)
{
    const effect_spec *effect = source->effect;
    const node_spec *node = source->node;
    switch (which) {
    case KEY_EFFECT:
        put_text(to, effect->name);
        put_number(to, (uint64_t)effect->kind);
        return true;
    case KEY_VERSION:
        put_text(to, effect->version);
        put_text(to, node->version);
        return true;
    case KEY_CODE: put_hash(to, effect->policy == CODE_TRACK ? effect->code : HASH_NONE); return true;
    case KEY_PARAMS: put_text(to, node->params.size ? node->params : VALUE_EMPTY_OBJECT); return true;
    case KEY_PORTS: return put_ports(source, to);
    case KEY_ENV: put_env(node, to); return true;
    case KEY_COMMAND: put_command(source, to); return true;
    case KEY_TOOL: put_hash(to, effect->kind == EFFECT_COMMAND ? source->tool : HASH_NONE); return true;
    case KEY_COMPONENTS: break;
    }
    return false;
}

void key_compute(const key_source *source, key_parts *parts, hash128 *key)
{
    component to;
    bool ok = true;
    for (int which = 0; which < KEY_COMPONENTS; which++) {
        uint8_t number = (uint8_t)which;
        to.size = 0;
        hash_begin(&to.stream);
        put_bytes(&to, "weir component 1", 16);
        put_bytes(&to, &number, 1);
        bool is_whole = put_component(source, (key_component)which, &to);
        flush(&to);
        parts->part[which] = is_whole ? hash_end(&to.stream) : HASH_NONE;
        ok = ok && is_whole;
    }
    hash_stream stream;
    hash_begin(&stream);
    hash_update(&stream, "weir key 1", 10);
    hash_update(&stream, parts->part, sizeof parts->part);
    *key = ok ? hash_end(&stream) : HASH_NONE;
}
