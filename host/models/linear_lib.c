/* Owns the handle of liblinear; see linear_lib.h. */
#include "models/linear_lib.h"

#include <dlfcn.h>
#include <string.h>

static struct linear_lib functions;
static int state; /* 0: not tried, 1: there, -1: not there */

static void say_nothing(const char *text)
{
    (void)text;
}

static int load(void)
{
    void *library = dlopen("liblinear.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return -1;
#define LINEAR_LIB_X(name)                                                                                             \
    {                                                                                                                  \
        void *symbol = dlsym(library, #name);                                                                          \
        if (!symbol)                                                                                                   \
            return -1;                                                                                                 \
        memcpy(&functions.name, &symbol, sizeof symbol);                                                               \
    }
    LINEAR_LIB_FUNCTIONS(LINEAR_LIB_X)
#undef LINEAR_LIB_X
    functions.set_print_string_function(say_nothing);
    return 1;
}

const struct linear_lib *linear_lib(void)
{
    if (!state)
        state = load();
    return state > 0 ? &functions : NULL;
}
