/* References within a document: JSON pointers, and the members of a schema as written. Keeps nothing. Loop thread. */
#include "core/schema_node.h"

#include <stdlib.h>

/* One step of a JSON pointer in a URI fragment (RFC 6901, section 6), decoded into `out`. */
static const char *pointer_step(const char *s, char *out, size_t size)
{
    size_t n = 0;
    for (; *s && *s != '/'; s++) {
        char ch = *s;
        if (ch == '%' && s[1] && s[2] && strspn(s + 1, "0123456789abcdefABCDEF") >= 2) {
            char hex[3] = {s[1], s[2], 0};
            ch = (char)strtol(hex, NULL, 16);
            s += 2;
        } else if (ch == '~' && (s[1] == '0' || s[1] == '1')) {
            ch = *++s == '0' ? '~' : '/';
        }
        if (!ch || n + 1 >= size)
            return NULL;
        out[n++] = ch;
    }
    out[n] = 0;
    return s;
}

const json_t *schema_pointer(const json_t *document, const char *s)
{
    char step[256];
    while (document && *s == '/') {
        s = pointer_step(s + 1, step, sizeof step);
        if (!s)
            return NULL;
        if (json_is_array(document)) {
            char *end;
            unsigned long index = strtoul(step, &end, 10);
            document = *step >= '0' && *step <= '9' && !*end ? json_array_get(document, index) : NULL;
        } else {
            document = json_object_get(document, step);
        }
    }
    return document && !*s ? document : NULL;
}

const json_t *schema_resolve(const json_t *document, const json_t *node)
{
    for (int hops = 0; hops < SCHEMA_DEPTH_MAX; hops++) {
        const char *ref = json_string_value(json_object_get(node, "$ref"));
        if (!ref)
            return node;
        node = *ref == '#' ? schema_pointer(document, ref + 1) : NULL;
    }
    return NULL;
}

const json_t *schema_member(const json_t *document, const json_t *node, const char *name)
{
    static const char *const combined[] = {"allOf", "anyOf", "oneOf"};
    const json_t *alternative, *member;
    size_t i;
    node = schema_resolve(document, node);
    member = json_object_get(json_object_get(node, "properties"), name);
    for (size_t list = 0; list < 3 && !member; list++)
        json_array_foreach(json_object_get(node, combined[list]), i, alternative)
        {
            /* one level only: deeper nesting would need a guard against loops */
            alternative = schema_resolve(document, alternative);
            member = json_object_get(json_object_get(alternative, "properties"), name);
            if (member)
                break;
        }
    return member;
}
