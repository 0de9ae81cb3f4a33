#ifndef WORDS_H
#define WORDS_H

#include <stddef.h>
#include <stdio.h>

/* Reads the next word of `in`, in lower case, into `word` (of `size` bytes, cut if longer). Returns its length; 0 at the end. */
size_t words_next(FILE *in, char *word, size_t size);

#endif
