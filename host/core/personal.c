/* Replacing personal data; see personal.h. */
#include "core/personal.h"

#include "core/id.h"
#include "core/json_text.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define DIGITS_LEAST 7    /* shorter ones are amounts, years, codes */
#define DIGITS_REPLACED 6 /* at most: what comes before tells the kind of number */
#define DIGITS_SAME 10    /* of numbers written with and without their country the end is the same */
#define NAME_LEAST 3
#define NAMES_MAX 10000

const char *const personal_fields[] = {
    "customer_name", "full_name",        "first_name",    "last_name",   "middle_name",
    "surname",       "recipient_name",   "account_name",  "holder_name", "payer_name",
    "sender_name",   "contact_name",     "display_name",  "street",      "address",
    "home_address",  "delivery_address", "date_of_birth", "dob",         "bvn",
    "nin",           "passport",         "mothers_name",  "next_of_kin", NULL};

struct personal {
    uint64_t key;
    json_t *names; /* value -> stand-in */
    json_t *seen;  /* everything that was replaced */
};

struct personal *personal_new(void)
{
    struct personal *p = calloc(1, sizeof *p);
    if (p && getrandom(&p->key, sizeof p->key, 0) == sizeof p->key && (p->names = json_object()) &&
        (p->seen = json_object()))
        return p;
    personal_free(p);
    return NULL;
}

void personal_free(struct personal *p)
{
    if (!p)
        return;
    json_decref(p->names);
    json_decref(p->seen);
    free(p);
}

size_t personal_count(const struct personal *p)
{
    return json_object_size(p->seen);
}

static void note(struct personal *p, const char *value, size_t len)
{
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)(len < sizeof text ? len : sizeof text - 1), value);
    json_object_set_new(p->seen, text, json_true());
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* Each letter another letter of its case, each digit another digit; the rest stays, so it has the same words. */
static char *stand_in(const struct personal *p, const char *value)
{
    char *made = strdup(value), *lower = strdup(value);
    if (!made || !lower) {
        free(made);
        free(lower);
        return NULL;
    }
    for (char *s = lower; *s; s++)
        *s = (char)tolower((unsigned char)*s);
    uint64_t random = id_hash(lower, strlen(lower), p->key);
    for (size_t i = 0; made[i]; i++) {
        unsigned char c = (unsigned char)made[i];
        uint64_t r = id_mix(random, i + 1);
        if (isupper(c))
            made[i] = (char)('A' + r % 26);
        else if (islower(c) || c >= 0x80)
            made[i] = (char)('a' + r % 26);
        else if (isdigit(c))
            made[i] = (char)('0' + r % 10);
    }
    free(lower);
    return made;
}

static bool is_personal_field(const char *field)
{
    for (size_t i = 0; personal_fields[i]; i++)
        if (strcasecmp(personal_fields[i], field) == 0)
            return true;
    return false;
}

/* "name" alone is also that of products and agents: it counts beside what only people have. */
static bool is_person(const json_t *object)
{
    static const char *const signs[] = {"phone", "email", "phone_number", "customer_phone", "msisdn"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (json_object_get(object, signs[i]))
            return true;
    return false;
}

static void learn_name(struct personal *p, const char *name)
{
    if (strlen(name) < NAME_LEAST || json_object_get(p->names, name) || json_object_size(p->names) >= NAMES_MAX)
        return;
    char *other = stand_in(p, name);
    if (other)
        json_object_set_new(p->names, name, json_string(other));
    free(other);
}

void personal_learn(struct personal *p, const json_t *value)
{
    const char *field;
    json_t *member;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)value, i, member) personal_learn(p, member);
    json_object_foreach((json_t *)(uintptr_t)value, field, member)
    {
        if (json_is_string(member) && (is_personal_field(field) || (strcmp(field, "name") == 0 && is_person(value))))
            learn_name(p, json_string_value(member));
        else
            personal_learn(p, member);
    }
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static bool is_word(unsigned char c)
{
    return isalnum(c) || c == '_' || c >= 0x80;
}

/* The longest known name that begins here as words of its own. */
static size_t name_at(const struct personal *p, const char *text, size_t at, const char **ret_other)
{
    const char *name;
    json_t *other;
    size_t longest = 0;
    if (at && is_word((unsigned char)text[at - 1]))
        return 0;
    json_object_foreach(p->names, name, other)
    {
        size_t n = strlen(name);
        if (n <= longest || strncasecmp(text + at, name, n) != 0 || is_word((unsigned char)text[at + n]))
            continue;
        longest = n;
        *ret_other = json_string_value(other);
    }
    return longest;
}

static bool is_mail(unsigned char c)
{
    return isalnum(c) || strchr(".!#$%&'*+/=?^_`{|}~-", c) != NULL;
}

/* The length of an e-mail address that begins here. */
static size_t mail_at(const char *text, size_t at)
{
    size_t n = 0, domain;
    if (at && is_mail((unsigned char)text[at - 1]))
        return 0;
    while (text[at + n] && is_mail((unsigned char)text[at + n]))
        n++;
    if (!n || text[at + n] != '@')
        return 0;
    domain = ++n;
    while (isalnum((unsigned char)text[at + n]) ||
           ((text[at + n] == '.' || text[at + n] == '-') && isalnum((unsigned char)text[at + n + 1])))
        n++;
    return memchr(text + at + domain, '.', n - domain) ? n : 0;
}

/* The length of an id of the host that begins here ("MSG-" and hex digits, "IN-", "SES-"), which names nobody. */
static size_t id_at(const char *text, size_t at)
{
    static const char *const kinds[] = {"MSG-", "IN-", "SES-"};
    if (at && is_word((unsigned char)text[at - 1]))
        return 0;
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(kinds[i]), hex = 0;
        if (strncmp(text + at, kinds[i], n) != 0)
            continue;
        while (isxdigit((unsigned char)text[at + n + hex]))
            hex++;
        if (hex >= 12 && !is_word((unsigned char)text[at + n + hex]))
            return n + hex;
    }
    return 0;
}

static bool is_date(const char *text)
{
    static const char shape[] = "dddd-dd-dd";
    for (size_t i = 0; shape[i]; i++)
        if (shape[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != shape[i])
            return false;
    return !isdigit((unsigned char)text[sizeof shape - 1]);
}

/* The length of a number that begins here, with the single spaces and dashes people write into it. */
static size_t number_at(const char *text, size_t at, size_t *ret_digits)
{
    size_t n = 0, digits = 0;
    if ((at && is_word((unsigned char)text[at - 1])) || is_date(text + at))
        return 0;
    while (isdigit((unsigned char)text[at + n]) ||
           (digits && strchr(" -", text[at + n]) && text[at + n] && isdigit((unsigned char)text[at + n + 1]))) {
        digits += isdigit((unsigned char)text[at + n]) != 0;
        n++;
    }
    *ret_digits = digits;
    return digits >= DIGITS_LEAST && !(is_word((unsigned char)text[at + n])) ? n : 0;
}

static void add_number(struct personal *p, struct text *out, const char *text, size_t n, size_t digits)
{
    char last[DIGITS_SAME + 1] = "";
    size_t have = 0, kept = digits - (digits - 1 < DIGITS_REPLACED ? digits - 1 : DIGITS_REPLACED), seen = 0;
    for (size_t i = n; i-- > 0 && have < DIGITS_SAME;)
        if (isdigit((unsigned char)text[i]))
            last[have++] = text[i];
    uint64_t random = id_hash(last, have, p->key);
    note(p, text, n);
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)text[i]) || seen++ < kept) {
            text_char(out, text[i]);
            continue;
        }
        text_char(out, (char)('0' + id_mix(random, digits - seen + 1) % 10)); /* by the place from its end */
    }
}

char *personal_text(struct personal *p, const char *text)
{
    struct text out;
    text_init(&out, 64 * 1024 * 1024);
    for (size_t i = 0; text[i];) {
        const char *other = NULL;
        size_t n = id_at(text, i), digits = 0;
        if (n) {
            text_add(&out, text + i, n);
        } else if ((n = name_at(p, text, i, &other))) {
            note(p, text + i, n);
            text_puts(&out, other);
        } else if ((n = mail_at(text, i))) {
            note(p, text + i, n);
            text_printf(&out, "person-%06llx@example.com",
                        (unsigned long long)(id_hash(text + i, n, p->key) & 0xffffff));
        } else if ((n = number_at(text, i, &digits))) {
            add_number(p, &out, text + i, n, digits);
        } else {
            text_char(&out, text[i]);
            n = 1;
        }
        i += n;
    }
    text_char(&out, 0);
    if (out.failed)
        text_free(&out);
    return out.at;
}

static json_t *replaced_text(struct personal *p, const char *text)
{
    char *other = personal_text(p, text);
    json_t *made = json_string(other ? other : "");
    free(other);
    return made;
}

json_t *personal_replaced(struct personal *p, const json_t *value)
{
    json_t *made, *member;
    const char *field;
    size_t i;
    if (json_is_string(value))
        return replaced_text(p, json_string_value(value));
    if (json_is_array(value)) {
        made = json_array();
        json_array_foreach((json_t *)(uintptr_t)value, i, member)
            json_array_append_new(made, personal_replaced(p, member));
        return made;
    }
    if (!json_is_object(value))
        return json_incref((json_t *)(uintptr_t)value);
    made = json_object();
    json_object_foreach((json_t *)(uintptr_t)value, field, member)
    {
        char *other = personal_text(p, field);
        json_object_set_new(made, other ? other : field, personal_replaced(p, member));
        free(other);
    }
    return made;
}
