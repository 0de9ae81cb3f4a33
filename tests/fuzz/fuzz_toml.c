/*
 * fuzz_toml.c - any bytes as a TOML document, and as a key into it.
 *
 * Promised: nothing is read behind the end; what comes out is a canonical value; a failure leaves the buffer as it was and names a line.
 */
#include "tests/fuzz/loop.h"

#include "engine/store/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes raw = bytes_of(data, size);
    buf value = {0};
    bytes found;
    weir_error err = {0};
    buf_text(&value, "before");
    int rc = value_from_toml(raw, &value, &err);
    if (rc == 0) {
        bytes encoded = bytes_of(value.data + 6, value.size - 6);
        fuzz_require(value_check(encoded, NULL) == 0, "TOML gives a canonical value");
        (void)document_find(encoded, raw, &found);
        fuzz_require(!document_find(encoded, bytes_str("a.b[1].c"), &found) || found.size > 0, "what is found has an encoding");
    } else {
        fuzz_require(value.size == 6, "a failure leaves the buffer as it was");
        fuzz_require(rc == WEIR_LIMIT || strstr(err.message, "line "), "a failure names a line");
    }
    (void)document_check_key(raw, NULL);
    buf_deinit(&value);
    return 0;
}

bool fuzz_seed(unsigned number, buf *to)
{
    static const char *const seeds[] = {
        "a.b = [{c = 1}, {c = \"\\u00e9\"}]\n[t]\nx = 1979-05-27T07:32:00.5-07:00 # c\n[[l]]\n[l.m]\nn = '''\nq''''\n",
        "s = \"\"\"\\\n  a \\\"\"\"\" \"\"\"\ni = [0x_1, 1_000, 0o7, 0b1, +1e5, -inf, nan, 3.14]\n",
        "[a]\n[a.b.c]\n[a.b]\nx.y.z = true\r\nx.w = false\r\n\"q \\t\" = {}\n'l' = { a.b = 1, c = [ ] }\n",
    };
    if (number >= sizeof seeds / sizeof *seeds) return false;
    buf_text(to, seeds[number]);
    return true;
}
