/* One small plugin in many shapes that vetting must tell apart: -DTRICK_NAME makes each. None of it is ever run. */
#include <cvm/cvm.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int answer(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m, json_object());
}

static const cvm_component components[] = {{.id = "test.tricky", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"test.tricky", "answer", answer}, {0}};

#define VISIBLE __attribute__((visibility("default"), used))

#if defined(TRICK_HIDDEN) || defined(TRICK_FUNCTION)
static const cvm_plugin_descriptor hidden
    __attribute__((used)) = {CVM_MAGIC, .components = components, .routes = routes};
#ifdef TRICK_FUNCTION
VISIBLE int cvm_plugin(void);
VISIBLE int cvm_plugin(void)
{
    return 0;
}
#endif
#elif defined(TRICK_GROWN) /* as a later host's SDK would make it */
struct grown {
    cvm_plugin_descriptor d;
    int (*later)(void);
};
extern const struct grown cvm_plugin;
VISIBLE const struct grown cvm_plugin = {{CVM_MAGIC, sizeof(struct grown), CVM_ABI_MAJOR, CVM_ABI_MINOR, "tricky",
                                          "1.0.0", components, routes, NULL, NULL, NULL},
                                         NULL};
#elif defined(TRICK_OLD)   /* as the first SDK made it */
CVM_PLUGIN(.name = "tricky", .version = "1.0.0", .components = components, .routes = routes, .abi_minor = 0,
           .size = offsetof(cvm_plugin_descriptor, turn) + sizeof(void *));
#elif defined(TRICK_NEWER)
CVM_PLUGIN(.name = "tricky", .version = "1.0.0", .components = components, .routes = routes,
           .abi_minor = CVM_ABI_MINOR + 1);
#elif defined(TRICK_MAGIC)
CVM_PLUGIN(.name = "tricky", .version = "1.0.0", .components = components, .routes = routes, .magic = "CVMPLUG\2");
#elif defined(TRICK_SHORT)
CVM_PLUGIN(.name = "tricky", .version = "1.0.0", .components = components, .routes = routes, .size = 120);
#elif defined(TRICK_LONG)
CVM_PLUGIN(.name = "tricky", .version = "1.0.0", .components = components, .routes = routes, .size = 4096);
#else
CVM_PLUGIN(.name = "tricky", .version = "1.0.0", .components = components, .routes = routes);
#endif

/* ---- the shapes ---- */

#if defined(TRICK_CONSTRUCTOR)
__attribute__((constructor)) static void early(void)
{
    abort();
}
#elif defined(TRICK_DESTRUCTOR)
__attribute__((destructor)) static void late(void)
{
    abort();
}
#elif defined(TRICK_INIT) /* -Wl,-init,odd_init */
void odd_init(void);
void odd_init(void)
{
    abort();
}
#elif defined(TRICK_TLS)
static _Thread_local int count;
VISIBLE int bump(void);
VISIBLE int bump(void)
{
    return ++count;
}
#elif defined(TRICK_UNIQUE)
__asm__(".data\n.globl only_one\n.type only_one, @gnu_unique_object\n.size only_one, 8\nonly_one: .quad 0\n.text");
#elif defined(TRICK_EXPORT)
VISIBLE int helper(void);
VISIBLE int helper(void)
{
    return 1;
}
#elif defined(TRICK_INTERPOSITION)
VISIBLE void *valloc(size_t size)
{
    return malloc(size);
}
#elif defined(TRICK_FORK)
VISIBLE int start(void);
VISIBLE int start(void)
{
    return fork();
}
#elif defined(TRICK_PRINTF)
VISIBLE int tell(void);
VISIBLE int tell(void)
{
    return printf("%d\n", 1);
}
#elif defined(TRICK_ATEXIT)
VISIBLE int leave(void);
VISIBLE int leave(void)
{
    return atexit(abort);
}
#elif defined(TRICK_ORPHAN)
int nowhere(void);
VISIBLE int use(void);
VISIBLE int use(void)
{
    return nowhere();
}
#elif defined(TRICK_LIBRARY)
const char *curl_version(void);
VISIBLE const char *use(void);
VISIBLE const char *use(void)
{
    return curl_version();
}
#elif defined(TRICK_TEXT_RELOCATION)
__asm__(".text\n.quad cvm_plugin");
#elif defined(TRICK_WRITABLE_CODE)
__asm__(".section .odd, \"awx\", @progbits\n.quad 0\n.text");
#elif defined(TRICK_IFUNC)
static int one(void)
{
    return 1;
}
static int (*choose(void))(void)
{
    return one;
}
VISIBLE int chosen(void) __attribute__((ifunc("choose")));
#endif
