#!/bin/sh
# Makes corpus/elf anew: libraries as small as the linker makes them, each with other tables. They are committed, so that
# mutants are the same everywhere; this is how they came to be. Run in tests/fuzz.
set -e
out=corpus/elf
source=$(mktemp --suffix=.c)
trap 'rm -f "$source"' EXIT
cat >"$source" <<'C'
#include <cvm/cvm.h>
static int answer(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m, json_object());
}
static const cvm_component components[] = {{.id = "a", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"a", "b", answer}, {0}};
CVM_PLUGIN(.name = "a", .version = "1", .components = components, .routes = routes);
#ifdef MORE
int fork(void);
int open64(const char *path, int flags, ...);
__attribute__((visibility("default"))) _Thread_local int local;
__attribute__((visibility("default"))) int json_x(void) { return fork() + open64("", 0) + ++local; }
__attribute__((constructor, destructor)) static void early(void) { json_x(); }
static int (*choose(void))(void) { return json_x; }
__attribute__((visibility("default"))) int chosen(void) __attribute__((ifunc("choose")));
__asm__(".data\n.globl one\n.type one, @gnu_unique_object\n.size one, 8\none: .quad 0\n.text");
#endif
C

# make NAME OPTION...
make()
{
    name=$1
    shift
    cc -Os -fPIC -shared -nostdlib -fvisibility=hidden -fno-asynchronous-unwind-tables -fcf-protection=none -w \
        -I../../sdk/include "$source" -Wl,--build-id=none,-z,norelro,-z,noseparate-code,-s -o "$out/$name.so" "$@"
    # The linker's notes and comments are no matter for the reader.
    objcopy --remove-section .comment --remove-section .note.gnu.property "$out/$name.so"
}

make gnu_hash -Wl,--hash-style=gnu -ljansson
make sysv_hash -Wl,--hash-style=sysv -ljansson
make relr -Wl,-z,pack-relative-relocs -ljansson -lc
make unresolved -Wl,--hash-style=both
make versions -Wl,--default-symver -ljansson
make all_of_it -DMORE -ljansson -lc -Wl,-z,nodelete,-z,execstack,-rpath,/x,-soname,libc.so.6
head -c 700 "$out/gnu_hash.so" >"$out/cut.so"
printf 'no library\n' >"$out/text"
ls -l "$out"
