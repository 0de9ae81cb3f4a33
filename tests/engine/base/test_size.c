/* test_size.c - sizes as people write them. */
#include "engine/base/size.h"
#include "tests/check.h"

int main(void)
{
    static const struct { const char *text; bool is; uint64_t size; } cases[] = {
        {"0", true, 0}, {"1000", true, 1000}, {"2G", true, UINT64_C(2) << 30}, {"1.5k", true, 1536}, {"64 KiB", true, 65536},
        {"1MB", true, 1 << 20}, {"3T", true, UINT64_C(3) << 40}, {"", false, 0}, {"G", false, 0}, {"-1", false, 0},
        {"1X", false, 0}, {"1GG", false, 0}, {"inf", false, 0}, {"nan", false, 0}, {"1e30", false, 0}, {" 1", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t size = 0;
        CHECK_INT(cases[i].is, size_parse(cases[i].text, &size));
        CHECK_INT((int64_t)cases[i].size, (int64_t)size);
    }
    return check_done();
}
