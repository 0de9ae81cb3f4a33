/* Reads words from a text in memory, counts them, and compares. */
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "words.h"

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "test_words.c:%d: %s\n", __LINE__, #what);                             \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

int main(void)
{
    FILE *in = tmpfile();
    CHECK(in != NULL);
    fputs("The cat, the dog: THE end. Cat!", in);
    rewind(in);

    struct table counts = {0};
    char word[8];
    while (words_next(in, word, sizeof word) > 0) CHECK(table_add(&counts, word) == 0);
    fclose(in);
    table_sort(&counts);
    CHECK(counts.used == 4);
    CHECK(strcmp(counts.slots[0].word, "the") == 0 && counts.slots[0].count == 3);
    CHECK(strcmp(counts.slots[1].word, "cat") == 0 && counts.slots[1].count == 2);
    CHECK(strcmp(counts.slots[3].word, "end") == 0);
    table_free(&counts);
    puts("4 checks passed");
    return 0;
}
