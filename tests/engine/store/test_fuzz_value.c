/*
 * test_fuzz_value.c - tests/fuzz/fuzz_value.c for a fixed number of rounds (WEIR_FUZZ_ROUNDS).
 */
#include "tests/fuzz/fuzz_value.c"

int main(void)
{
    return fuzz_loop();
}
