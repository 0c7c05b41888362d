/* libcurl, loaded when it is first used: with the thirty libraries behind it, it is most of what the host would cost
 * to start and to hold in memory, and many homes call nothing outside. Nobody links it; who needs it asks here.
 * Loop thread. */
#ifndef HOST_SERVICES_CURL_LIB_H
#define HOST_SERVICES_CURL_LIB_H

#define CURL_DISABLE_TYPECHECK /* its macros would call the linked functions */
#include <curl/curl.h>

#define CURL_LIB_FUNCTIONS(X)                                                                                          \
    X(global_init)                                                                                                     \
    X(easy_init)                                                                                                       \
    X(easy_reset)                                                                                                      \
    X(easy_cleanup)                                                                                                    \
    X(easy_setopt)                                                                                                     \
    X(easy_getinfo)                                                                                                    \
    X(easy_recv)                                                                                                       \
    X(easy_send)                                                                                                       \
    X(easy_strerror)                                                                                                   \
    X(multi_init)                                                                                                      \
    X(multi_cleanup)                                                                                                   \
    X(multi_setopt)                                                                                                    \
    X(multi_add_handle)                                                                                                \
    X(multi_remove_handle)                                                                                             \
    X(multi_socket_action)                                                                                             \
    X(multi_assign)                                                                                                    \
    X(multi_info_read)                                                                                                 \
    X(slist_append)                                                                                                    \
    X(slist_free_all)

/* curl_easy_init is `curl->easy_init`, and so on. */
struct curl_lib {
#define CURL_LIB_X(name) __typeof__(curl_##name) *name;
    CURL_LIB_FUNCTIONS(CURL_LIB_X)
#undef CURL_LIB_X
};

/* Loads and initialises the library at the first call. NULL: it is not there or too old. Never unloaded. */
const struct curl_lib *curl_lib(void);

#endif
