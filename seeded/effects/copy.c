/* seeded */
#include <lua.h>
