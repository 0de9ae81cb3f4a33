#include "words.h"

#include <ctype.h>

size_t words_next(FILE *in, char *word, size_t size)
{
    size_t length = 0;
    int c;
    while ((c = getc(in)) != EOF) {
        if (isalpha(c)) {
            if (length + 1 < size) word[length++] = (char)tolower(c);
        } else if (length > 0) {
            break;
        }
    }
    word[length] = '\0';
    return length;
}
