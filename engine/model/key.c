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

static void put_tagged(hash_stream *stream, char tag, uint64_t number)
{
    uint8_t packed[9] = {(uint8_t)tag};
    for (unsigned i = 0; i < 8; i++) packed[1 + i] = (uint8_t)(number >> (8 * i));
    hash_update(stream, packed, sizeof packed);
}

static void put_number(hash_stream *stream, uint64_t number)
{
    put_tagged(stream, 'n', number);
}

static void put_list(hash_stream *stream, size_t count)
{
    put_tagged(stream, 'l', count);
}

static void put_text(hash_stream *stream, bytes text)
{
    put_tagged(stream, 's', text.size);
    hash_update(stream, text.data, text.size);
}

static void put_hash(hash_stream *stream, hash128 hash)
{
    hash_update(stream, "h", 1);
    hash_update(stream, hash.bytes, HASH_SIZE);
}

/* --- components -------------------------------------------------------------------------------------------------- */

static bool put_item(const key_source *source, hash_stream *stream, const spec_member *member)
{
    bytes name = member->id ? source->item_name(source->ctx, member->id) : member->name;
    put_number(stream, (uint64_t)member->item);
    put_text(stream, name);
    if (member->port.size) put_text(stream, member->port);
    return name.size > 0;
}

static bool put_member(const key_source *source, hash_stream *stream, const spec_member *member)
{
    put_number(stream, (uint64_t)member->kind);
    switch (member->kind) {
    case MEMBER_ITEM: return put_item(source, stream, member);
    case MEMBER_NODE: put_text(stream, (bytes){NULL, 0}); return true;
    case MEMBER_EXPAND: return false; /* replaced by what it stands for */
    case MEMBER_OUTPUT: put_text(stream, member->port); return true;
    }
    return false;
}

static bool put_ports(const key_source *source, hash_stream *stream)
{
    const node_spec *node = source->node;
    bool ok = true;
    put_list(stream, node->input_count);
    for (size_t i = 0; i < node->input_count; i++) {
        const spec_input *input = &node->inputs[i];
        put_text(stream, input->port);
        put_number(stream, input->is_list);
        put_list(stream, input->count);
        for (size_t j = 0; j < input->count && ok; j++) ok = put_member(source, stream, &input->members[j]);
    }
    put_list(stream, node->output_count);
    for (size_t i = 0; i < node->output_count; i++) put_text(stream, node->outputs[i].port);
    return ok;
}

static void put_env(const node_spec *node, hash_stream *stream)
{
    put_list(stream, node->env_count);
    for (size_t i = 0; i < node->env_count; i++) {
        put_text(stream, node->env[i].name);
        put_text(stream, node->env[i].value);
    }
}

static void put_command(const key_source *source, hash_stream *stream)
{
    bool is_command = source->effect->kind == EFFECT_COMMAND;
    put_list(stream, is_command ? source->command_count : 0);
    if (!is_command) return;
    for (size_t i = 0; i < source->command_count; i++) put_text(stream, source->command[i]);
    put_number(stream, (source->node->flags & SPEC_SHELL) != 0);
    put_text(stream, source->node->depfile);
    put_number(stream, (source->node->flags & SPEC_UPDATE) != 0);
}

/* false: the component cannot be hashed. */
static bool put_component(const key_source *source, key_component which, hash_stream *stream)
{
    const effect_spec *effect = source->effect;
    const node_spec *node = source->node;
    switch (which) {
    case KEY_EFFECT:
        put_text(stream, effect->name);
        put_number(stream, (uint64_t)effect->kind);
        return true;
    case KEY_VERSION:
        put_text(stream, effect->version);
        put_text(stream, node->version);
        return true;
    case KEY_CODE: put_hash(stream, effect->policy == CODE_TRACK ? effect->code : HASH_NONE); return true;
    case KEY_PARAMS: put_text(stream, node->params.size ? node->params : VALUE_EMPTY_OBJECT); return true;
    case KEY_PORTS: return put_ports(source, stream);
    case KEY_ENV: put_env(node, stream); return true;
    case KEY_COMMAND: put_command(source, stream); return true;
    case KEY_TOOL: put_hash(stream, effect->kind == EFFECT_COMMAND ? source->tool : HASH_NONE); return true;
    case KEY_COMPONENTS: break;
    }
    return false;
}

void key_compute(const key_source *source, key_parts *parts, hash128 *key)
{
    hash_stream stream;
    bool ok = true;
    for (int which = 0; which < KEY_COMPONENTS; which++) {
        uint8_t number = (uint8_t)which;
        hash_begin(&stream);
        hash_update(&stream, "weir component 1", 16);
        hash_update(&stream, &number, 1);
        bool is_whole = put_component(source, (key_component)which, &stream);
        parts->part[which] = is_whole ? hash_end(&stream) : HASH_NONE;
        ok = ok && is_whole;
    }
    hash_begin(&stream);
    hash_update(&stream, "weir key 1", 10);
    hash_update(&stream, parts->part, sizeof parts->part);
    *key = ok ? hash_end(&stream) : HASH_NONE;
}
