/*
 * test_fuzz_toml.c - tests/fuzz/fuzz_toml.c for a fixed number of rounds (WEIR_FUZZ_ROUNDS).
 */
#include "tests/fuzz/fuzz_toml.c"

int main(void)
{
    return fuzz_loop();
}
