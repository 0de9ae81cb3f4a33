/*
 * test_fuzz_event.c - tests/fuzz/fuzz_event.c for a fixed number of rounds (WEIR_FUZZ_ROUNDS).
 */
#include "tests/fuzz/fuzz_event.c"

int main(void)
{
    return fuzz_loop();
}
