/* tally - counts the words of a text. */
#include <stdlib.h>
#include <string.h>

#include "messages.h"
#include "report.h"
#include "table.h"
#include "words.h"

int main(int argc, char **argv)
{
    size_t limit = 10;
    if (argc == 3 && strcmp(argv[1], "-n") == 0) {
        limit = strtoul(argv[2], NULL, 10);
    } else if (argc != 1) {
        fputs(MSG_USAGE "\n", stderr);
        return 2;
    }
    struct table counts = {0};
    char word[64];
    int failed = 0;
    while (!failed && words_next(stdin, word, sizeof word) > 0) failed = table_add(&counts, word);
    table_sort(&counts);
    report_print(&counts, limit);
    table_free(&counts);
    return failed ? 1 : 0;
}
