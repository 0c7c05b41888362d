/* Owns the handle of libcurl; see curl_lib.h. */
#include "services/curl_lib.h"

#include <dlfcn.h>
#include <string.h>

static struct curl_lib functions;
static int state; /* 0: not tried, 1: there, -1: not there */

static int load(void)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return -1;
#define CURL_LIB_X(name)                                                                                               \
    {                                                                                                                  \
        void *symbol = dlsym(library, "curl_" #name);                                                                  \
        if (!symbol)                                                                                                   \
            return -1;                                                                                                 \
        memcpy(&functions.name, &symbol, sizeof symbol);                                                               \
    }
    CURL_LIB_FUNCTIONS(CURL_LIB_X)
#undef CURL_LIB_X
    return functions.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 1 : -1;
}

const struct curl_lib *curl_lib(void)
{
    if (!state)
        state = load();
    return state > 0 ? &functions : NULL;
}
