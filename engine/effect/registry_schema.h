/* registry_schema.h - what the files of effect/registry share: the schema of an effect. */
#ifndef WEIR_EFFECT_REGISTRY_SCHEMA_H
#define WEIR_EFFECT_REGISTRY_SCHEMA_H

#include "engine/effect/registry.h"

/** Is the struct of an effect complete and its schema sound? `where` names the file it is in. WEIR_WORKFLOW with the cause. */
int registry_check_schema(const weir_effect *effect, const char *where, weir_error *err);

#endif
