/*
 * plugin.h - effects in shared objects, and the build id of a file of code.
 */
#ifndef WEIR_EFFECT_PLUGIN_H
#define WEIR_EFFECT_PLUGIN_H

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/weir_effect.h"

/**
 * What a file of code is built from: the hash of its ELF build id (the note NT_GNU_BUILD_ID), which costs a few reads; of a file
 * without one, of its whole content. WEIR_NOTFOUND, WEIR_IO.
 */
int plugin_build_id(const char *path, hash128 *build, weir_error *err);

/**
 * Map a plug-in into this process and ask it for its effects. A path without a slash means the current folder, never the
 * library path of the system. It stays mapped until the process ends.
 *
 * @param out  static data of the plug-in
 * @return 0; WEIR_WORKFLOW when it cannot be mapped, is no plug-in, or one for another ABI
 */
int plugin_open(const char *path, const weir_plugin **out, weir_error *err);

#endif
