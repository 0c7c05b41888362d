#!/bin/sh
# embed.sh FOLDER OUTPUT FILE...: writes a C file that holds the templates, each as it stands in its file, and their
# table. FILE is relative to FOLDER: "agent/plugin.c.in" is "plugin.c" of the kind "agent"; "common" belongs to all.
set -eu
folder=$1 out=$2
shift 2
{
    echo '/* The templates of `plugin new`. Made by sdk/templates/embed.sh. */'
    echo '#include "cli/templates.h"'
    n=0
    for file in "$@"; do
        printf '__asm__(".section .rodata\\n.global template_%s\\ntemplate_%s:\\n.incbin \\"%s/%s\\"\\n.byte 0\\n.previous\\n");\n' \
            $n $n "$folder" "$file"
        printf 'extern const char template_%s[];\n' $n
        n=$((n + 1))
    done
    echo 'const struct template templates[] = {'
    n=0
    for file in "$@"; do
        name=${file#*/}
        printf '    {"%s", "%s", template_%s},\n' "${file%%/*}" "${name%.in}" $n
        n=$((n + 1))
    done
    echo '    {0},'
    echo '};'
} >"$out"
