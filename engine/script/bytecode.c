/*
 * bytecode.c - reads a dump of Lua 5.4 and emits its canonical form.
 *
 * The layout is that of ldump.c (5.4.0 to 5.4.6): a header; per function: source, lines,
 * parameters, code, constants, upvalues, nested functions, debug
 * information. Sizes are big-endian groups of 7 bits, the last one marked. Every read is
 * bounds-checked; what does not fit is refused,
 * and the caller treats the function as one that cannot be hashed.
 */
#include "engine/script/bytecode.h"

enum { OP_SETUPVAL = 10, OP_SETTABUP = 15, MAX_DEPTH = 190 };
enum {
    T_NIL = 0x00,
    T_FALSE = 0x01,
    T_TRUE = 0x11,
    T_INT = 0x03,
    T_FLOAT = 0x13,
    T_SHORT = 0x04,
    T_LONG = 0x14
};

typedef struct reader {
    const uint8_t *at, *end;
    bool failed;
    mem_arena *arena;
    bytecode_sink *sink;
} reader;

typedef struct constant {
    bytes text; /* strings; else data NULL */
} constant;

/* What is needed of a function once its debug information has been read. */
typedef struct function {
    uint64_t line;
    bytes code;
    size_t code_count, upvalue_count;
    bool *is_outside;   /* per upvalue: lives outside of the outermost function */
    bytes *outer_names; /* per upvalue */
    constant *constants;
    size_t constant_count;
} function;

static bytes take(reader *r, size_t size)
{
    if (r->failed || (size_t)(r->end - r->at) < size) {
        r->failed = true;
        return (bytes){NULL, 0};
    }
    bytes got = bytes_of(r->at, size);
    r->at += size;
    return got;
}

static uint8_t take_byte(reader *r)
{
    bytes one = take(r, 1);
    return one.data ? one.data[0] : 0;
}

static uint64_t take_size(reader *r)
{
    uint64_t value = 0;
    for (int i = 0; i < 10 && !r->failed; i++) {
        uint8_t b = take_byte(r);
        value = value << 7 | (b & 0x7f);
        if (b & 0x80) return value;
    }
    r->failed = true;
    return 0;
}

/* A count of things of at least `size` bytes each. */
static size_t take_count(reader *r, size_t size)
{
    uint64_t count = take_size(r);
    if (count > (size_t)(r->end - r->at) / size) r->failed = true;
    return r->failed ? 0 : (size_t)count;
}

static bytes take_string(reader *r)
{
    uint64_t size = take_size(r);
    if (size == 0) return (bytes){NULL, 0};
    if (size - 1 > (size_t)(r->end - r->at)) r->failed = true;
    return take(r, r->failed ? 0 : (size_t)size - 1);
}

static void *zero(reader *r, size_t count, size_t size)
{
    void *got = arena_zero(r->arena, count + 1, size);
    if (!got) r->failed = true;
    return got;
}

static void emit(reader *r, const void *data, size_t size)
{
    if (!r->failed) r->sink->emit(r->sink->ctx, data, size);
}

static void emit_number(reader *r, uint64_t number)
{
    uint8_t raw[8];
    for (size_t i = 0; i < 8; i++) raw[i] = (uint8_t)(number >> (8 * i));
    emit(r, raw, sizeof raw);
}

static void emit_text(reader *r, bytes text)
{
    emit_number(r, text.size);
    if (text.size) emit(r, text.data, text.size);
}

/* --- parts of a function ---------------------------------------------------------------------- */

static void read_constants(reader *r, function *f)
{
    f->constant_count = take_count(r, 1);
    f->constants = zero(r, f->constant_count, sizeof *f->constants);
    emit_number(r, f->constant_count);
    for (size_t i = 0; i < f->constant_count && !r->failed; i++) {
        uint8_t type = take_byte(r);
        bytes text;
        emit(r, &type, 1);
        switch (type) {
        case T_NIL:
        case T_FALSE:
        case T_TRUE: break;
        case T_INT:
        case T_FLOAT:
            text = take(r, 8);
            if (text.data) emit(r, text.data, 8);
            break;
        case T_SHORT:
        case T_LONG:
            text = take_string(r);
            f->constants[i].text = text;
            emit_text(r, text);
            if (r->sink->constant && text.data && bytes_equal(text, bytes_str(r->sink->constant)))
                r->sink->has_constant = true;
            break;
        default: r->failed = true;
        }
    }
}

/* Where a nested function's upvalues come from is part of the code; where the outermost one's do is not. */
static void read_upvalues(reader *r, function *f, const function *parent)
{
    f->upvalue_count = take_count(r, 3);
    f->is_outside = zero(r, f->upvalue_count, sizeof *f->is_outside);
    f->outer_names = zero(r, f->upvalue_count, sizeof *f->outer_names);
    emit_number(r, f->upvalue_count);
    for (size_t i = 0; i < f->upvalue_count && !r->failed; i++) {
        bytes where = take(r, 3);
        if (!where.data) return;
        if (!parent) {
            f->is_outside[i] = true;
            continue;
        }
        emit(r, where.data, 3);
        bool in_stack = where.data[0] != 0;
        size_t index = where.data[1];
        if (!in_stack && index >= parent->upvalue_count) r->failed = true;
        if (!in_stack && !r->failed) f->is_outside[i] = parent->is_outside[index];
    }
}

typedef struct line_table {
    bytes deltas;
    const struct absolute_line {
        uint64_t pc, line;
    } * absolute;
    size_t absolute_count;
} line_table;

static int line_of(const function *f, const line_table *lines, size_t pc)
{
    int64_t line = (int64_t)f->line;
    for (size_t i = 0; i <= pc && i < lines->deltas.size; i++) {
        int8_t delta = (int8_t)lines->deltas.data[i];
        if (delta != -128) {
            line += delta;
            continue;
        }
        for (size_t k = 0; k < lines->absolute_count; k++)
            if (lines->absolute[k].pc == i) line = (int64_t)lines->absolute[k].line;
    }
    return (int)line;
}

static void find_assignments(reader *r, const function *f, const line_table *lines,
                             const bytes *names)
{
    for (size_t pc = 0; pc < f->code_count; pc++) {
        uint32_t word;
        memcpy(&word, f->code.data + pc * 4, sizeof word);
        unsigned op = word & 0x7f, a = word >> 7 & 0xff, b = word >> 16 & 0xff;
        if (op == OP_SETUPVAL && b < f->upvalue_count && f->is_outside[b])
            r->sink->found(r->sink->ctx, BYTECODE_SETS_UPVALUE, names[b], line_of(f, lines, pc));
        if (op == OP_SETTABUP && a < f->upvalue_count && bytes_equal(names[a], bytes_str("_ENV")) &&
            b < f->constant_count)
            r->sink->found(r->sink->ctx, BYTECODE_SETS_GLOBAL, f->constants[b].text,
                           line_of(f, lines, pc));
    }
}

/* Debug information: read for lines and names, never emitted. */
static void read_debug(reader *r, function *f)
{
    line_table lines = {.absolute = NULL};
    lines.deltas = take(r, take_count(r, 1));
    lines.absolute_count = take_count(r, 2);
    struct absolute_line *absolute = zero(r, lines.absolute_count, sizeof *absolute);
    for (size_t i = 0; i < lines.absolute_count && !r->failed; i++) {
        absolute[i].pc = take_size(r);
        absolute[i].line = take_size(r);
    }
    lines.absolute = absolute;
    size_t locals = take_count(r, 3);
    for (size_t i = 0; i < locals && !r->failed; i++) {
        (void)take_string(r);
        (void)take_size(r);
        (void)take_size(r);
    }
    size_t named = take_count(r, 1);
    for (size_t i = 0; i < named && !r->failed; i++) {
        bytes name = take_string(r);
        if (i < f->upvalue_count) f->outer_names[i] = name;
    }
    if (!r->failed && r->sink->found) find_assignments(r, f, &lines, f->outer_names);
}

static void read_function(reader *r, const function *parent, int depth)
{
    function f = {.line = 0};
    if (depth > MAX_DEPTH) r->failed = true;
    if (r->failed) return;
    (void)take_string(r); /* source */
    f.line = take_size(r);
    (void)take_size(r);      /* last line */
    bytes head = take(r, 3); /* parameters, vararg, stack size */
    if (head.data) emit(r, head.data, 3);
    f.code_count = take_count(r, 4);
    f.code = take(r, f.code_count * 4);
    emit_text(r, f.code);
    read_constants(r, &f);
    read_upvalues(r, &f, parent);
    size_t nested = take_count(r, 8);
    emit_number(r, nested);
    for (size_t i = 0; i < nested && !r->failed; i++) read_function(r, &f, depth + 1);
    read_debug(r, &f);
}

static bool read_header(reader *r)
{
    static const uint8_t expected[] = {0x1b, 'L',  'u',  'a',  0x54, 0, 0x19, 0x93,
                                       '\r', '\n', 0x1a, '\n', 4,    8, 8};
    bytes head = take(r, sizeof expected);
    if (!head.data || memcmp(head.data, expected, sizeof expected) != 0) return false;
    (void)take(r, 16);  /* an integer and a float that show the number formats */
    (void)take_byte(r); /* upvalues of the function */
    return !r->failed;
}

bool bytecode_walk(bytes dump, mem_arena *arena, bytecode_sink *sink)
{
    reader r = {.at = dump.data, .end = dump.data + dump.size, .arena = arena, .sink = sink};
    sink->has_constant = false;
    if (!read_header(&r)) return false;
    read_function(&r, NULL, 0);
    return !r.failed && r.at == r.end;
}
