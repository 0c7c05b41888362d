/* See items.h. */
#include "items.h"

static void pass(struct items *it)
{
    while (it->at < it->end && strchr(" \t\r\n", *it->at) && *it->at)
        it->line += *it->at++ == '\n';
}

bool items_begin(struct items *it, const char *text, size_t len)
{
    *it = (struct items){.at = text, .end = text + len, .line = 1};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        it->at += 3;
    pass(it);
    if (it->at == it->end || (*it->at != '[' && *it->at != '{'))
        return false;
    it->close = *it->at++ == '[' ? ']' : '}';
    return true;
}

/* Passes a string whose quote is at `at`. */
static void pass_string(struct items *it)
{
    for (it->at++; it->at < it->end && *it->at != '"'; it->at++) {
        it->line += *it->at == '\n';
        if (*it->at == '\\' && it->at + 1 < it->end)
            it->at++;
    }
    it->at += it->at < it->end;
}

/* Passes a value, up to the comma or bracket behind it. */
static void pass_value(struct items *it)
{
    size_t depth = 0;
    while (it->at < it->end) {
        char c = *it->at;
        if (c == '"') {
            pass_string(it);
            continue;
        }
        if (!depth && (c == ',' || c == ']' || c == '}'))
            return;
        depth += c == '[' || c == '{';
        depth -= c == ']' || c == '}';
        it->line += c == '\n';
        it->at++;
    }
}

int items_next(struct items *it, struct item *ret_item)
{
    struct item item = {0};
    pass(it);
    if (it->at < it->end && *it->at == it->close)
        return 0;
    if (it->begun) {
        if (it->at == it->end || *it->at != ',')
            return CVM_EDATA;
        it->at++;
        pass(it);
    }
    it->begun = true;
    item.line = it->line;
    if (it->close == '}') {
        item.name = it->at;
        if (it->at == it->end || *it->at != '"')
            return CVM_EDATA;
        pass_string(it);
        item.name_len = (size_t)(it->at - item.name);
        pass(it);
        if (it->at == it->end || *it->at != ':')
            return CVM_EDATA;
        it->at++;
        pass(it);
    }
    item.text = it->at;
    pass_value(it);
    item.len = (size_t)(it->at - item.text);
    if (it->at == it->end)
        return CVM_EDATA;
    *ret_item = item;
    return 1;
}
