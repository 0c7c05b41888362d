/* See networks.h. */
#include "networks.h"

#include "phone.h"
#include "words.h"

/* What holds where a component's settings do not say otherwise. */
static const struct {
    const char *code, *aliases, *prefixes;
} known[] = {{"MTN", "", "0703 0704 0706 0707 0803 0806 0810 0813 0814 0816 0903 0906 0913 0916 07025 07026"},
             {"AIRTEL", "", "0701 0708 0802 0808 0812 0901 0902 0904 0907 0911 0912"},
             {"GLO", "", "0705 0805 0807 0811 0815 0905 0915"},
             {"9MOBILE", "T2 T2MOBILE ETISALAT", "0809 0817 0818 0908 0909"}};
#define KNOWN (sizeof known / sizeof known[0])

void networks_read(const json_t *settings, struct networks *ret_networks)
{
    *ret_networks = (struct networks){.codes = json_object_get(settings, "supported_networks"),
                                      .aliases = json_object_get(settings, "network_aliases"),
                                      .prefixes = json_object_get(settings, "prefixes")};
}

size_t networks_count(const struct networks *networks)
{
    return networks->codes ? json_array_size(networks->codes) : KNOWN;
}

const char *networks_at(const struct networks *networks, size_t i)
{
    if (!networks->codes)
        return known[i].code;
    const char *code = json_string_value(json_array_get(networks->codes, i));
    return code ? code : "";
}

/* Whether a blank-separated list holds the word. */
static bool holds(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; n && *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        if (len == n && strncmp(at, word, n) == 0)
            return true;
        at += len;
    }
    return false;
}

static const char *without_alias(const struct networks *networks, const char *name)
{
    if (networks->aliases)
        return cvm_json_str(networks->aliases, name, name);
    for (size_t i = 0; i < KNOWN; i++)
        if (holds(known[i].aliases, name))
            return known[i].code;
    return name;
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
    const char *code = without_alias(networks, upper);
    for (size_t i = 0; n && i < networks_count(networks); i++) {
        if (strcmp(networks_at(networks, i), code) == 0) {
            snprintf(ret_code, NETWORK_SIZE, "%s", code);
            return CVM_OK;
        }
    }
    return CVM_ENOENT;
}

static void prefix_known(const char *local, char ret_code[NETWORK_SIZE])
{
    char prefix[6];
    for (int n = 4; n <= 5; n++) { /* the longest one counts */
        snprintf(prefix, sizeof prefix, "%.*s", n, local);
        for (size_t i = 0; i < KNOWN; i++)
            if (holds(known[i].prefixes, prefix))
                snprintf(ret_code, NETWORK_SIZE, "%s", known[i].code);
    }
}

void network_of_prefix(const struct networks *networks, const char *e164, char ret_code[NETWORK_SIZE])
{
    char local[PHONE_SIZE];
    const char *network;
    json_t *list;
    size_t best = 0;
    phone_local(e164, local);
    ret_code[0] = '\0';
    if (!networks->prefixes)
        prefix_known(local, ret_code);
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
    for (size_t i = 0; i < networks_count(networks) && at < size; i++)
        at += (size_t)snprintf(buf + at, size - at, "%s%s", i ? ", " : "", networks_at(networks, i));
    return buf;
}

bool network_differs(const struct networks *networks, const char *e164, const char *code, char ret_other[NETWORK_SIZE])
{
    network_of_prefix(networks, e164, ret_other);
    return *ret_other && strcmp(ret_other, code) != 0;
}

bool network_confirmed(const char *words)
{
    static const char *const cues[] = {"ported", "porting",   "ported to", "confirm", "confirmed",
                                       "yes",    "i am sure", "im sure",   "mnp",     NULL};
    return words_have_any(words, cues);
}

void network_ask_text(const char *e164, const char *other, const char *code, char *ret_text, size_t size)
{
    char local[PHONE_SIZE];
    snprintf(
        ret_text, size,
        "%s looks like a number of %s. If it was ported to %s, please write your order again with the word PORTED; "
        "otherwise write it with the right network. Nothing was charged.",
        phone_local(e164, local), other, code);
}
