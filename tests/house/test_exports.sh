#!/bin/sh
# test_exports.sh - the shared library exports exactly what engine/weir.h declares as WEIR_API.
set -u
export LC_ALL=C

library=$WEIR_BUILD/libweir.so
if [ ! -e "$library" ]; then
    echo "there is no $library: build the target weir_shared"
    exit 1
fi

# A declaration may go over several lines. The name is the last word before the first parenthesis, bracket or semicolon.
awk '
    /^[ \t]*#/ { next }
    { text = text " " $0 }
    END {
        while ((start = index(text, "/*")) > 0) {
            end = index(substr(text, start + 2), "*/")
            text = substr(text, 1, start - 1) " " substr(text, start + 2 + end + 1)
        }
        count = split(text, parts, "WEIR_API")
        for (i = 2; i <= count; i++) {
            sub(/[(;\[].*/, "", parts[i])
            gsub(/[ \t]+$/, "", parts[i])
            sub(/.*[ \t*]/, "", parts[i])
            print parts[i]
        }
    }' "$WEIR_SOURCE/engine/weir.h" | sort -u >declared
if ! grep -q '^weir_' declared; then
    echo "no declaration was understood in engine/weir.h"
    exit 1
fi

# Names with two underscores in front come from sanitizers and the linker.
nm -D --defined-only "$library" |
    awk 'NF == 3 && $2 ~ /[A-Z]/ && $3 !~ /^__/ && $3 !~ /^_(init|fini|edata|end)$/ { print $3 }' | sort -u >exported

if diff declared exported >difference; then
    echo "$(wc -l <exported) functions, declared and exported"
    exit 0
fi
echo "declared as WEIR_API in engine/weir.h (<), exported by libweir.so (>):"
cat difference
exit 1
