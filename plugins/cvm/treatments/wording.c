/* See wording.h. A cursor goes over the text word by word; where a clause begins that says a value, the value is taken
 * and the cursor jumps behind it. The name is what stands before the first clause. */
#include "wording.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- words ---- */

/* Bytes of other alphabets are letters; a hyphen inside a word belongs to it: "high-value" is one word. */
static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || (c & 0x80) || c == '_' || c == '\'';
}

static const char *skip_blank(const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

static size_t word_len(const char *s)
{
    size_t n = 0;
    while (is_letter(s[n]) || (s[n] == '-' && n && is_letter(s[n + 1])))
        n++;
    return n;
}

/* Behind the word, if it stands at s; NULL: it does not. Several words of a phrase are separated by blanks. */
static const char *after(const char *s, const char *phrase)
{
    for (s = skip_blank(s); *phrase;) {
        size_t want = strcspn(phrase, " ");
        if (word_len(s) != want || strncasecmp(s, phrase, want) != 0)
            return NULL;
        s += want;
        phrase += want;
        if (*phrase == ' ') {
            phrase++;
            if (!isspace((unsigned char)*s))
                return NULL;
            s = skip_blank(s);
        }
    }
    return s;
}

/* Behind the first of the phrases that stands there; s itself if none does. */
static const char *maybe(const char *s, const char *const *phrases)
{
    for (; *phrases; phrases++) {
        const char *end = after(s, *phrases);
        if (end)
            return end;
    }
    return s;
}

static const char *one_of(const char *s, const char *const *phrases)
{
    for (; *phrases; phrases++) {
        const char *end = after(s, *phrases);
        if (end)
            return end;
    }
    return NULL;
}

/* ---- numbers ---- */

struct number {
    bool negative, fraction;
    double value;
};

static size_t digits(const char *s)
{
    size_t n = 0;
    while (isdigit((unsigned char)s[n]))
        n++;
    return n;
}

/* "10", "1,000", "0.05", "-3"; NULL: no number stands there. "10," and "10." end a clause or a sentence. */
static const char *number_at(const char *s, struct number *ret)
{
    char plain[40];
    size_t n = 0;
    struct number v = {0};
    s = skip_blank(s);
    if (*s == '-') {
        v.negative = true;
        s++;
    }
    size_t group = digits(s);
    if (!group)
        return NULL;
    for (bool grouped = group <= 3;; grouped = true) {
        for (size_t i = 0; i < group; i++)
            if (n < sizeof plain - 12)
                plain[n++] = s[i];
        s += group;
        if (!grouped || *s != ',' || digits(s + 1) != 3)
            break;
        s++;
        group = 3;
    }
    if (*s == '.' && digits(s + 1)) {
        v.fraction = true;
        plain[n++] = '.';
        group = digits(++s);
        for (size_t i = 0; i < group && n < sizeof plain - 1; i++)
            plain[n++] = s[i];
        s += group;
    }
    plain[n] = 0;
    v.value = strtod(plain, NULL);
    if (is_letter(*s) || (*s == '-' && is_letter(s[1]))) /* "5G", "24-month" */
        return NULL;
    *ret = v;
    return s;
}

/* ---- clauses ---- */

/* What the text said last of each. */
struct said {
    bool has_limit, has_priority, has_cost, has_enabled, enabled;
    int64_t limit, priority;
    double cost;
    const char *channel;
    const char *first; /* where the first clause begins; NULL: there is none */
};

__attribute__((format(printf, 3, 4))) static int fault(struct wording_error *e, const char *field, const char *format,
                                                       ...)
{
    va_list args;
    snprintf(e->field, sizeof e->field, "%s", field);
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    return CVM_EINVAL;
}

static const char *const articles[] = {"a", "an", "the", "its", NULL};

static int whole(const struct number *n, int64_t least, int64_t most, const char *field, const char *what,
                 int64_t *ret_value, struct wording_error *e)
{
    if (n->negative || n->fraction || n->value < (double)least || n->value > (double)most)
        return fault(e, field, "The %s must be a whole number from %lld to %lld, not %s%.12g.", what, (long long)least,
                     (long long)most, n->negative ? "-" : "", n->value);
    *ret_value = (int64_t)n->value;
    return 1;
}

/* Each reads one kind of clause at `s`: 1 and *ret_end, 0: none begins here, CVM_EINVAL. */

static int read_limit(const char *s, struct said *said, const char **ret_end, struct wording_error *e)
{
    static const char *const kinds[] = {"new", "daily", NULL};
    static const char *const words[] = {"limit of", "limit to", "limit is", "limit", "maximum of",
                                        "maximum",  "max of",   "max",      "up to", NULL};
    static const char *const per_day[] = {"per day", "a day", "each day", "daily", NULL};
    struct number n;
    const char *at = maybe(maybe(maybe(s, articles), kinds), kinds), *end = one_of(at, words);
    if (end) {
        end = skip_blank(end);
        end += *end == ':' || *end == '=';
        if (!(end = number_at(end, &n)))
            return 0;
        at = maybe(end, per_day);
        if (at == end && *end == '/' && (at = after(end + 1, "day")) == NULL)
            at = end;
        end = at;
    } else if ((end = number_at(s, &n))) {
        at = *end == '/' ? after(end + 1, "day") : one_of(end, per_day);
        if (!at)
            return 0;
        end = at;
    } else {
        return 0;
    }
    *ret_end = end;
    said->has_limit = true;
    return whole(&n, 0, WORDING_PER_DAY_MAX, "constraints.max_per_day", "limit per day", &said->limit, e);
}

static int read_priority(const char *s, struct said *said, const char **ret_end, struct wording_error *e)
{
    static const struct {
        const char *word;
        int64_t priority;
    } levels[] = {{"high", 1}, {"medium", 5}, {"low", 9}};
    static const char *const words[] = {"priority of", "priority to", "priority is", "priority", NULL};
    static const char *const kinds[] = {"new", NULL};
    struct number n;
    const char *at = maybe(maybe(s, articles), kinds), *end;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (!(end = after(at, levels[i].word)) || !(end = after(end, "priority")))
            continue;
        said->has_priority = true;
        said->priority = levels[i].priority;
        *ret_end = end;
        return 1;
    }
    if (!(end = one_of(at, words)))
        return 0;
    end = skip_blank(end);
    end += *end == ':' || *end == '=';
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if ((at = after(end, levels[i].word))) {
            said->has_priority = true;
            said->priority = levels[i].priority;
            *ret_end = at;
            return 1;
        }
    if (!(end = number_at(end, &n)))
        return 0;
    *ret_end = end;
    said->has_priority = true;
    return whole(&n, 1, 9, "constraints.priority", "priority", &said->priority, e);
}

#define POUND "\xc2\xa3"

static int read_cost(const char *s, struct said *said, const char **ret_end, struct wording_error *e)
{
    static const char *const before[] = {"at", "for", NULL};
    static const char *const kinds[] = {"new", NULL};
    static const char *const words[] = {"cost of", "cost is", "cost", "costs", "costing", NULL};
    static const char *const pounds[] = {"pounds", "pound", "gbp", NULL};
    static const char *const each[] = {"per contact", "each", "per customer", NULL};
    struct number n;
    const char *at = maybe(maybe(maybe(s, before), articles), kinds), *end = one_of(at, words), *amount;
    bool named = end != NULL, sign;
    amount = skip_blank(named ? end : at);
    if (named)
        amount = skip_blank(amount + (*amount == ':' || *amount == '='));
    bool minus = *amount == '-' && !strncmp(amount + 1, POUND, 2);
    amount += minus;
    sign = !strncmp(amount, POUND, 2);
    if (!(end = number_at(amount + (sign ? 2 : 0), &n)))
        return 0;
    at = maybe(end, pounds);
    if (!named && !sign && at == end)
        return 0;
    *ret_end = maybe(at, each);
    said->has_cost = true;
    said->cost = n.value;
    if (n.negative || minus || n.value > 1e9)
        return fault(e, "constraints.cost_per_contact_pounds",
                     "The cost per contact must be from 0 to 1,000,000,000 "
                     "pounds.");
    return 1;
}

static int read_state(const char *s, struct said *said, const char **ret_end, struct wording_error *e)
{
    const char *on = after(s, "enabled"), *off = after(s, "disabled");
    (void)e;
    if (!on && !off)
        return 0;
    said->has_enabled = true;
    said->enabled = on != NULL;
    *ret_end = on ? on : off;
    return 1;
}

/* The channel that the text names first. It is no clause: "Send an SMS" is a name. */
static void read_channel(const char *s, struct said *said)
{
    static const char *const words[][2] = {
        {"sms", "sms"},         {"text message", "sms"}, {"text messages", "sms"}, {"email", "email"},
        {"emails", "email"},    {"e-mail", "email"},     {"e-mails", "email"},     {"call", "call"},
        {"calls", "call"},      {"call-centre", "call"}, {"call-center", "call"},  {"phone", "call"},
        {"phone-call", "call"}, {"app", "app"},          {"in-app", "app"},        {"push", "app"},
        {"letter", "post"},     {"letters", "post"},     {"post", "post"},
    };
    for (size_t i = 0; !said->channel && i < sizeof words / sizeof *words; i++)
        if (after(s, words[i][0]))
            said->channel = words[i][1];
}

static int read_all(const char *text, struct said *said, struct wording_error *e)
{
    static int (*const clauses[])(const char *, struct said *, const char **,
                                  struct wording_error *) = {read_limit, read_priority, read_cost, read_state};
    for (const char *s = text; *(s = skip_blank(s));) {
        const char *end = NULL;
        int found = 0;
        for (size_t i = 0; !found && i < sizeof clauses / sizeof *clauses; i++)
            found = clauses[i](s, said, &end, e);
        if (found < 0)
            return found;
        if (found && !said->first)
            said->first = s;
        read_channel(s, said);
        size_t word = word_len(s);
        s = found ? end : s + (word ? word : 1);
    }
    return 0;
}

/* ---- the name ---- */

static bool is_cut(const char *s, size_t len, const char *word)
{
    size_t n = strlen(word);
    return len >= n && strncasecmp(s + len - n, word, n) == 0 && (len == n || s[len - n - 1] == ' ');
}

static bool is_word_byte(char c)
{
    return isalnum((unsigned char)c) || (c & 0x80);
}

/* The bytes of `s` without blanks, punctuation, "with" and "and" at its end. */
static size_t trimmed(const char *s, size_t len)
{
    for (size_t before = len + 1; len < before;) {
        before = len;
        while (len && !is_word_byte(s[len - 1]) && !strchr(")%+", s[len - 1]))
            len--;
        if (is_cut(s, len, "with"))
            len -= 4;
        else if (is_cut(s, len, "and"))
            len -= 3;
    }
    return len;
}

/* At most WORDING_NAME_MAX characters, cut at the end of a word where there is one. */
static size_t shortened(const char *s, size_t len)
{
    size_t characters = 0, end = 0, at = 0;
    for (; at < len; at++) {
        if (((unsigned char)s[at] & 0xc0) == 0x80)
            continue;
        if (characters == WORDING_NAME_MAX)
            break;
        if (s[at] == ' ')
            end = at;
        characters++;
    }
    if (at >= len || s[at] == ' ')
        return at;
    return end ? end : at;
}

static json_t *name_of(const char *text, const char *end)
{
    size_t n = 0, len = end ? (size_t)(end - text) : strlen(text);
    char *name = malloc(len + 1);
    if (!name)
        return NULL;
    for (size_t i = 0; i < len; i++) /* blanks of any kind are one space */
        if (!isspace((unsigned char)text[i]))
            name[n++] = text[i];
        else if (n && name[n - 1] != ' ')
            name[n++] = ' ';
    n = trimmed(name, n);
    size_t cut = shortened(name, n);
    n = cut < n ? trimmed(name, cut) : n;
    json_t *value = n ? json_stringn(name, n) : json_null();
    free(name);
    return value;
}

int wording_read(const char *text, json_t **ret_members, struct wording_error *ret_error)
{
    struct said said = {0};
    size_t len = strlen(text);
    text = skip_blank(text);
    len = strlen(text);
    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    if (!len)
        return fault(ret_error, "input", "The text is empty.");
    if (len > WORDING_TEXT_MAX)
        return fault(ret_error, "input", "The text is longer than %d bytes.", WORDING_TEXT_MAX);
    CVM_TRY(read_all(text, &said, ret_error));
    json_t *name = name_of(text, said.first), *members, *constraints;
    if (json_is_null(name)) { /* it begins with a clause */
        json_decref(name);
        name = name_of(text, NULL);
    }
    members = json_pack("{s:o, s:s%}", "display_name", name, "description", text, len);
    constraints = json_object();
    if (!members || !constraints) {
        json_decref(members);
        json_decref(constraints);
        return CVM_ENOMEM;
    }
    if (json_is_null(name))
        json_object_del(members, "display_name");
    if (said.has_limit)
        json_object_set_new(constraints, "max_per_day", json_integer(said.limit));
    if (said.has_cost)
        json_object_set_new(constraints, "cost_per_contact_pounds", json_real(said.cost));
    if (said.has_priority)
        json_object_set_new(constraints, "priority", json_integer(said.priority));
    if (said.has_enabled)
        json_object_set_new(members, "enabled", json_boolean(said.enabled));
    if (said.channel)
        json_object_set_new(members, "channel", json_string(said.channel));
    if (json_object_size(constraints))
        json_object_set_new(members, "constraints", constraints);
    else
        json_decref(constraints);
    *ret_members = members;
    return CVM_OK;
}

void wording_whole(char *text)
{
    size_t len = strlen(text), n = len, need;
    while (n && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
        n--;
    unsigned char first = n ? (unsigned char)text[n - 1] : 0;
    need = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    if (n && len - (n - 1) < need)
        text[n - 1] = 0;
}

/* ---- the middle of an id ---- */

static bool left_out(const char *word, size_t len)
{
    static const char *const words[] = {"a", "an", "the", "to", "of", "for", "and"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == len && !memcmp(words[i], word, len))
            return true;
    return false;
}

void wording_slug(const char *name, char slug[WORDING_SLUG_SIZE])
{
    char word[WORDING_SLUG_SIZE];
    size_t n = 0, words = 0;
    for (const char *s = name; *s && words < 3;) {
        size_t len = 0;
        for (s = skip_blank(s); *s && !isspace((unsigned char)*s); s++)
            if (isalnum((unsigned char)*s) && len < sizeof word)
                word[len++] = (char)tolower((unsigned char)*s);
        if (!len || left_out(word, len))
            continue;
        if (++words == 3 && len > 4)
            len = 4;
        if (n && n < WORDING_SLUG_SIZE - 1)
            slug[n++] = '_';
        for (size_t i = 0; i < len && n < WORDING_SLUG_SIZE - 1; i++)
            slug[n++] = word[i];
    }
    while (n && slug[n - 1] == '_')
        n--;
    slug[n] = 0;
    if (!n)
        snprintf(slug, WORDING_SLUG_SIZE, "treatment");
}
