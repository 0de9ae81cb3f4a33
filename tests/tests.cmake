# tests.cmake - finds the tests by where they lie.
#
#   tests/engine/<floor>/test_*.c   linked to that floor and those below it
#   tests/<room>/test_*.c           linked to the whole engine and the built-in effects
#   tests/<room>/bench_*.c          the same, built but not run (measurements are started by hand)
#   tests/<room>/tool_*.c           the same, run by other tests: build/tests/<room>_tool_*
#   tests/<room>/test_*.sh|lua|py   run in a fresh folder, with WEIR_BIN, WEIR_BUILD and WEIR_SOURCE in the environment
#
# A test is a process of its own with a time limit; one that cannot run here exits with 77 and counts as skipped. Its
# label is its floor or room: `ctest -L store`. The target tests_<floor> builds the C tests of one floor.

set(test_environment "UBSAN_OPTIONS=print_stacktrace=1" "WEIR_SOURCE=${PROJECT_SOURCE_DIR}"
    "WEIR_BUILD=${PROJECT_BINARY_DIR}" "WEIR_BIN=${PROJECT_BINARY_DIR}/weir")

# weir_test_program(<file below tests/> <libraries>): makes the program; sets `target` and `name`
macro(weir_test_program file)
    string(REGEX REPLACE "\\.c$" "" name "${file}")
    string(REPLACE "/" "_" target "${name}")
    add_executable(${target} tests/${file})
    target_link_libraries(${target} PRIVATE ${ARGN} weir_options Threads::Threads)
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
endmacro()

macro(weir_test_properties label timeout)
    set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${timeout} SKIP_RETURN_CODE 77
        ENVIRONMENT "${test_environment}")
endmacro()

foreach(floor ${floors})
    file(GLOB files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/tests tests/engine/${floor}/test_*.c)
    add_custom_target(tests_${floor})
    foreach(file ${files})
        weir_test_program(${file} weir_${floor})
        add_dependencies(tests_${floor} ${target})
        add_test(NAME ${name} COMMAND ${target})
        weir_test_properties(${floor} 400)
    endforeach()
endforeach()

file(GLOB files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/tests tests/*/test_*.c tests/*/bench_*.c tests/*/tool_*.c)
foreach(file ${files})
    get_filename_component(room ${file} DIRECTORY)
    weir_test_program(${file} weir_door weir_builtins)
    if(file MATCHES "/test_")
        add_test(NAME ${name} COMMAND ${target})
        weir_test_properties(${room} 400)
    endif()
endforeach()

# The simulator stands in for threads, time and kill points (tests/sim/single.h, judge.h). canaries.env says how it is made (test_canaries.py).
set(wraps -Wl,--wrap=clock_gettime,--wrap=fstatat,--wrap=fstat,--wrap=os_kill_point)
target_link_options(sim_test_sim PRIVATE ${wraps})
set(sim_flags -D_GNU_SOURCE -std=c11 -O1 -I${PROJECT_SOURCE_DIR} -I${PROJECT_BINARY_DIR} ${sanitize})
foreach(directory ${lua5_4_INCLUDE_DIRS})
    list(APPEND sim_flags -isystem ${directory})
endforeach()
set(sim_libraries -Wl,--start-group)
foreach(floor ${floors})
    list(APPEND sim_libraries $<TARGET_FILE:weir_${floor}>)
endforeach()
list(APPEND sim_libraries $<TARGET_FILE:weir_builtins> -Wl,--end-group)
foreach(package sqlite3 jansson libzstd libuv lua5_4 md4c md4c_html)
    list(APPEND sim_libraries ${${package}_LDFLAGS})
endforeach()
file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/tests/canaries.env CONTENT
"CC=${CMAKE_C_COMPILER}
FLAGS=${sim_flags}
OBJECTS=$<TARGET_OBJECTS:sim_test_sim>
LIBS=${wraps};${sim_libraries};-lpthread;-ldl;-lm
")

find_program(LUA_PROGRAM NAMES lua5.4 lua)
find_program(PYTHON_PROGRAM NAMES python3)
file(GLOB files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/tests tests/*/test_*.sh tests/*/test_*.lua tests/*/test_*.py)
foreach(file ${files})
    get_filename_component(room ${file} DIRECTORY)
    get_filename_component(name ${file} NAME_WE)
    set(name ${room}/${name})
    set(interpreter sh)
    if(file MATCHES "\\.lua$")
        set(interpreter ${LUA_PROGRAM})
    elseif(file MATCHES "\\.py$")
        set(interpreter ${PYTHON_PROGRAM})
    endif()
    if(interpreter)
        add_test(NAME ${name}
            COMMAND sh ${PROJECT_SOURCE_DIR}/tests/scratch.sh ${interpreter} ${PROJECT_SOURCE_DIR}/tests/${file})
        weir_test_properties(${room} 900)
    endif()
endforeach()
