/* See networks.h. */
#include "networks.h"

#include "phone.h"

#include <ctype.h>

void networks_read(const json_t *settings, struct networks *ret_networks)
{
    *ret_networks = (struct networks){.codes = json_object_get(settings, "supported_networks"),
                                      .aliases = json_object_get(settings, "network_aliases"),
                                      .prefixes = json_object_get(settings, "prefixes")};
}

int network_code(const struct networks *networks, const char *name, char ret_code[NETWORK_SIZE])
{
    char upper[NETWORK_SIZE];
    size_t n = 0;
    for (const char *p = name; *p; p++) {
        if (isspace((unsigned char)*p) || *p == '-')
            continue;
        if (n == sizeof upper - 1)
            return CVM_ENOENT;
        upper[n++] = (char)toupper((unsigned char)*p);
    }
    upper[n] = '\0';
    const char *code = cvm_json_str(networks->aliases, upper, upper);
    for (size_t i = 0; i < json_array_size(networks->codes); i++) {
        const char *known = json_string_value(json_array_get(networks->codes, i));
        if (known && strcmp(known, code) == 0) {
            snprintf(ret_code, NETWORK_SIZE, "%s", known);
            return CVM_OK;
        }
    }
    return CVM_ENOENT;
}

void network_of_prefix(const struct networks *networks, const char *e164, char ret_code[NETWORK_SIZE])
{
    char local[PHONE_SIZE];
    const char *network;
    json_t *list;
    size_t best = 0;
    phone_local(e164, local);
    ret_code[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)networks->prefixes, network, list)
    {
        for (size_t i = 0; i < json_array_size(list); i++) {
            const char *prefix = json_string_value(json_array_get(list, i));
            size_t n = prefix ? strlen(prefix) : 0;
            if (n > best && strncmp(local, prefix, n) == 0) {
                best = n;
                snprintf(ret_code, NETWORK_SIZE, "%s", network);
            }
        }
    }
}

const char *networks_text(const struct networks *networks, char *buf, size_t size)
{
    size_t at = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < json_array_size(networks->codes) && at < size; i++)
        at += (size_t)snprintf(buf + at, size - at, "%s%s", i ? ", " : "",
                               json_string_value(json_array_get(networks->codes, i)));
    return buf;
}

bool network_differs(const struct networks *networks, const char *e164, const char *code, char ret_other[NETWORK_SIZE])
{
    network_of_prefix(networks, e164, ret_other);
    return *ret_other && strcmp(ret_other, code) != 0;
}
