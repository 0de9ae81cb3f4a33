/*
 * test_wire.c - frames in every cut, damaged lengths, descriptors beside the bytes; bytecode that is damaged in every place.
 */
#include <sys/socket.h>

#include "engine/base/os.h"
#include "engine/script/bytecode.h"
#include "engine/script/luavm.h"
#include "engine/script/wire.h"
#include "tests/check.h"

static void test_cuts(void)
{
    weir_error err = {0};
    buf all;
    buf_init(&all);
    for (int i = 0; i < 3; i++) {
        size_t mark = wire_begin(&all, WIRE_NODE);
        for (int k = 0; k < i * 40; k++) buf_byte(&all, (uint8_t)k);
        CHECK_OK(wire_end(&all, mark, &err), err);
    }
    for (size_t cut = 0; cut <= all.size; cut++) {
        int pair[2];
        wire_in in;
        wire_frame frame;
        size_t frames = 0;
        CHECK_OR_STOP(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        wire_in_init(&in);
        CHECK_INT(cut, write(pair[0], all.data, cut));
        if (cut > 0) CHECK_INT(1, wire_fill(&in, pair[1], &err));
        while (wire_next(&in, &frame, &err) == 1) CHECK_INT(40 * frames++, frame.payload.size);
        CHECK_INT(all.size - cut, write(pair[0], all.data + cut, all.size - cut));
        close(pair[0]);
        while (wire_receive(&in, pair[1], &frame, &err) == 1) CHECK_INT(40 * frames++, frame.payload.size);
        CHECK_INT(3, frames);
        wire_in_deinit(&in);
        close(pair[1]);
    }
    buf_deinit(&all);
}

static void test_damage(void)
{
    static const uint8_t bad[][5] = {{0, 0, 0, 0, 1}, {0xff, 0xff, 0xff, 0xff, 1}, {1, 0, 0, 0x20, 1}};
    weir_error err = {0};
    for (size_t i = 0; i < 3; i++) {
        wire_in in;
        wire_frame frame;
        wire_in_init(&in);
        buf_append(&in.data, bad[i], 5);
        CHECK_CODE(WEIR_CORRUPT, wire_next(&in, &frame, &err), err);
        wire_in_deinit(&in);
    }
}

static void test_descriptors(void)
{
    weir_error err = {0};
    int pair[2], given = open("/dev/null", O_RDONLY | O_CLOEXEC);
    wire_in in;
    wire_frame frame;
    buf b;
    CHECK_OR_STOP(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    wire_in_init(&in);
    buf_init(&b);
    for (int i = 0; i < 5; i++) {
        size_t mark = wire_begin(&b, WIRE_FORK);
        size_t offset = 0;
        int pass = given;
        CHECK_OK(wire_end(&b, mark, &err), err);
        CHECK_OK(wire_push(&b, &offset, pair[0], &pass, &err), err);
        CHECK_INT(-1, pass);
        buf_clear(&b);
    }
    for (int i = 0; i < 5; i++) {
        CHECK_INT(1, wire_receive(&in, pair[1], &frame, &err));
        int fd = wire_take_fd(&in);
        CHECK(fd >= 0 && fd != given);
        close(fd);
        CHECK_INT(-1, wire_take_fd(&in));
    }
    close(pair[1]);
    size_t mark = wire_begin(&b, WIRE_FORK);
    CHECK_OK(wire_end(&b, mark, &err), err);
    CHECK_CODE(WEIR_CANCELLED, wire_flush(&b, pair[0], &err), err);
    close(pair[0]);
    close(given);
    buf_deinit(&b);
    wire_in_deinit(&in);
}

/* --- damaged bytecode ------------------------------------------------------------------------------------------- */

static void ignore(void *ctx, const void *data, size_t size)
{
    *(size_t *)ctx += size;
    (void)data;
}

static void found(void *ctx, bytecode_finding what, bytes name, int line)
{
    (void)what, (void)name, (void)line;
    (*(size_t *)ctx)++;
}

static int append(lua_State *L, const void *data, size_t size, void *to)
{
    (void)L;
    buf_append(to, data, size);
    return 0;
}

static int dump(lua_State *L)
{
    static const char text[] = "local a, b = 1, 'x' g = 1 return function(...) a = a + 1 local t = {...} "
                               "for i = 1, #t do b = b .. i end return function() b = nil return a, 1.5, true end end";
    buf *to = lua_touserdata(L, 1);
    luavm_compile(L, bytes_str(text), "@a.lua", false);
    lua_dump(L, append, to, 0);
    return 0;
}

static bool walk(bytes code)
{
    size_t total = 0;
    mem_arena arena;
    arena_init(&arena);
    bytecode_sink sink = {.ctx = &total, .emit = ignore, .found = found, .constant = "x"};
    bool ok = bytecode_walk(code, &arena, &sink);
    arena_deinit(&arena);
    return ok && total > 0;
}

static void test_bytecode(void)
{
    weir_error err = {0};
    luavm *vm;
    luavm_failure failure;
    buf code;
    buf_init(&code);
    CHECK_OK(luavm_open(&vm, 0, &err), err);
    CHECK_INT(0, luavm_run(vm, dump, &code, &failure, NULL));
    CHECK(walk(buf_bytes(&code)));
    for (size_t size = 0; size < code.size; size++) CHECK(!walk(bytes_of(code.data, size)));
    for (size_t at = 0; at < code.size; at++)
        for (int bit = 0; bit < 8; bit++) {
            code.data[at] ^= (uint8_t)(1 << bit);
            (void)walk(buf_bytes(&code)); /* any answer, but no harm */
            code.data[at] ^= (uint8_t)(1 << bit);
        }
    luavm_close(vm);
    buf_deinit(&code);
}

int main(void)
{
    test_cuts();
    test_damage();
    test_descriptors();
    test_bytecode();
    return check_done();
}
