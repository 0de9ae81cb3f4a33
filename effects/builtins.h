/* builtins.h - the table of built-in effects, which the program hands to the engine. */
#ifndef WEIR_EFFECTS_BUILTINS_H
#define WEIR_EFFECTS_BUILTINS_H

#include "engine/weir_effect.h"

/** Ended by NULL. Static. */
extern const weir_effect *const weir_builtins[];

#endif
