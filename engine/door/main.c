/*
 * main.c - the program `weir`.
 *
 * The same binary serves as script host: the engine starts it again with arguments that no person would type, and
 * weir_script_host takes over. Everything else is the command line.
 */
#include "effects/builtins.h"
#include "engine/door/commands.h"
#include "engine/weir.h"

int main(int argc, char **argv)
{
    int code = weir_script_host(argc, argv, weir_builtins);
    return code != -1 ? code : door_main(argc, argv, weir_builtins);
}
