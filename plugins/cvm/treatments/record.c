/* See record.h. */
#include "record.h"

#include <ctype.h>
#include <cvm/money.h>
#include <stdio.h>

#define LIST_MAX 64
#define WORD_MAX 64
#define MESSAGE_TEXT_MAX 1600
#define DEFAULT_PER_DAY 100
#define DEFAULT_PRIORITY 5

__attribute__((format(printf, 3, 4))) static int fault(record_error *e, const char *field, const char *format, ...)
{
    va_list args;
    snprintf(e->field, sizeof e->field, "%s", field);
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    wording_whole(e->field);
    wording_whole(e->text);
    return CVM_EINVAL;
}

/* ---- what a member may be ---- */

static size_t characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static bool is_blank(const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    return !*s;
}

static int check_name(const char *name, const json_t *v, record_error *e)
{
    const char *text = json_string_value(v);
    if (!text || is_blank(text) || characters(text) > RECORD_NAME_MAX)
        return fault(e, name, "%s must be a text of 1 to %d characters.", name, RECORD_NAME_MAX);
    return CVM_OK;
}

static int check_text(const char *name, const json_t *v, record_error *e)
{
    if (!json_is_string(v) || json_string_length(v) > WORDING_TEXT_MAX)
        return fault(e, name, "%s must be a text of at most %d bytes.", name, WORDING_TEXT_MAX);
    return CVM_OK;
}

static int check_message(const char *name, const json_t *v, record_error *e)
{
    if (!json_is_string(v) || json_string_length(v) > MESSAGE_TEXT_MAX)
        return fault(e, name, "%s must be a text of at most %d bytes.", name, MESSAGE_TEXT_MAX);
    return CVM_OK;
}

static int check_flag(const char *name, const json_t *v, record_error *e)
{
    return json_is_boolean(v) ? CVM_OK : fault(e, name, "%s must be true or false.", name);
}

static int check_word(const char *name, const json_t *v, record_error *e)
{
    if (!json_is_string(v) || json_string_length(v) > WORD_MAX)
        return fault(e, name, "%s must be a word of at most %d bytes.", name, WORD_MAX);
    return CVM_OK;
}

static int check_words(const char *name, const json_t *v, record_error *e)
{
    if (!json_is_array(v) || json_array_size(v) > LIST_MAX)
        return fault(e, name, "%s must be a list of at most %d words.", name, LIST_MAX);
    for (size_t i = 0; i < json_array_size(v); i++)
        if (check_word(name, json_array_get(v, i), e) < 0)
            return fault(e, name, "%s must be a list of words of at most %d bytes.", name, WORD_MAX);
    return CVM_OK;
}

static int check_channel(const char *name, const json_t *v, record_error *e)
{
    static const char *const channels[] = {"sms", "email", "call", "app", "post", "network", "none"};
    for (size_t i = 0; json_is_string(v) && i < sizeof channels / sizeof *channels; i++)
        if (!strcmp(channels[i], json_string_value(v)))
            return CVM_OK;
    return fault(e, name, "%s must be sms, email, call, app, post, network or none.", name);
}

static int check_per_day(const char *name, const json_t *v, record_error *e)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > WORDING_PER_DAY_MAX)
        return fault(e, name, "%s must be a whole number from 0 to %lld.", name, (long long)WORDING_PER_DAY_MAX);
    return CVM_OK;
}

static int check_cost(const char *name, const json_t *v, record_error *e)
{
    int64_t minor;
    if (!json_is_number(v) || !(json_number_value(v) >= 0 && json_number_value(v) <= 1e9) ||
        cvm_money_from_json(v, &minor) < 0)
        return fault(e, name, "%s must be a number from 0 to 1,000,000,000 with at most two decimals.", name);
    return CVM_OK;
}

static int check_priority(const char *name, const json_t *v, record_error *e)
{
    if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 9)
        return fault(e, name, "%s must be a whole number from 1, the most preferred, to 9.", name);
    return CVM_OK;
}

static int check_number(const char *name, const json_t *v, record_error *e)
{
    return json_is_number(v) ? CVM_OK : fault(e, name, "%s must be a number.", name);
}

static int check_share(const char *name, const json_t *v, record_error *e)
{
    if (!json_is_number(v) || !(json_number_value(v) >= 0 && json_number_value(v) <= 1))
        return fault(e, name, "%s must be a number from 0 to 1.", name);
    return CVM_OK;
}

static int check_shares(const char *name, const json_t *v, record_error *e)
{
    const char *key;
    json_t *one;
    if (!json_is_object(v) || json_object_size(v) > LIST_MAX)
        return fault(e, name, "%s must be an object of numbers.", name);
    json_object_foreach((json_t *)(uintptr_t)v, key,
                        one) if (!json_is_number(one)) return fault(e, name, "%s must be an object of numbers.", name);
    return CVM_OK;
}

static int check_worth_kind(const char *name, const json_t *v, record_error *e)
{
    static const char *const kinds[] = {"retain", "sell", "service", "fixed"};
    for (size_t i = 0; json_is_string(v) && i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i], json_string_value(v)))
            return CVM_OK;
    return fault(e, name, "%s must be retain, sell, service or fixed.", name);
}

static int check_op(const char *name, const json_t *v, record_error *e)
{
    static const char *const ops[] = {"=", "!=", "<", "<=", ">", ">=", "in", "exists", "absent"};
    for (size_t i = 0; json_is_string(v) && i < sizeof ops / sizeof *ops; i++)
        if (!strcmp(ops[i], json_string_value(v)))
            return CVM_OK;
    return fault(e, name, "%s must be one of = != < <= > >= in exists absent.", name);
}

static int check_any(const char *name, const json_t *v, record_error *e)
{
    (void)name;
    (void)v;
    (void)e;
    return CVM_OK;
}

struct member {
    const char *name;
    int (*check)(const char *name, const json_t *value, record_error *e);
};

/* Checks each member of an object; `within` is the path to it, with a dot at its end. */
static int check_members(const char *within, const json_t *object, const struct member *known, bool nulls,
                         record_error *e)
{
    const char *name;
    json_t *value;
    char path[64];
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        const struct member *m = known;
        while (m->name && strcmp(m->name, name) != 0)
            m++;
        snprintf(path, sizeof path, "%s%.40s", within, name);
        wording_whole(path);
        if (!m->name)
            return fault(e, path, "A treatment has no member %s.", path);
        if (!(nulls && json_is_null(value)))
            CVM_TRY(m->check(path, value, e));
    }
    return CVM_OK;
}

static int check_constraints(const char *name, const json_t *v, record_error *e)
{
    static const struct member known[] = {
        {"max_per_day", check_per_day}, {"cost_per_contact_pounds", check_cost}, {"priority", check_priority}, {0}};
    if (!json_is_object(v))
        return fault(e, name, "%s must be an object.", name);
    return check_members("constraints.", v, known, true, e);
}

static int check_value(const char *name, const json_t *v, record_error *e)
{
    static const struct member known[] = {{"kind", check_worth_kind},
                                          {"propensity", check_share},
                                          {"uplift_by_trigger", check_shares},
                                          {"months", check_number},
                                          {"margin", check_share},
                                          {"amount_pounds", check_number},
                                          {0}};
    if (!json_is_object(v))
        return fault(e, name, "%s must be an object.", name);
    return check_members("value.", v, known, false, e);
}

static int check_rules(const char *name, const json_t *v, record_error *e)
{
    static const struct member known[] = {{"rule", check_word}, {"fact", check_word}, {"op", check_op},
                                          {"value", check_any}, {"why", check_text},  {0}};
    if (!json_is_array(v) || json_array_size(v) > LIST_MAX)
        return fault(e, name, "%s must be a list of at most %d rules.", name, LIST_MAX);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *rule = json_array_get(v, i);
        if (!json_is_object(rule) || !*cvm_json_str(rule, "fact", "") || !*cvm_json_str(rule, "op", ""))
            return fault(e, name, "Each rule of %s must be an object with fact and op.", name);
        CVM_TRY(check_members("eligibility.", rule, known, false, e));
    }
    return CVM_OK;
}

static const struct member members_known[] = {{"display_name", check_name},
                                              {"description", check_text},
                                              {"enabled", check_flag},
                                              {"constraints", check_constraints},
                                              {"channel", check_channel},
                                              {"applies_to", check_words},
                                              {"text", check_message},
                                              {"service", check_flag},
                                              {"category", check_word},
                                              {"eligible_segments", check_words},
                                              {"eligibility", check_rules},
                                              {"value", check_value},
                                              {0}};

bool record_is_id(const char *id)
{
    size_t n = 0;
    for (; id[n]; n++)
        if (n >= TREATMENT_ID_MAX || !(isalnum((unsigned char)id[n]) || strchr("_.-", id[n])))
            return false;
    return n > 0;
}

const char *record_shown_id(const char *id)
{
    return record_is_id(id) ? id : "of such an id";
}

/* ---- putting together ---- */

/* The members of the constraints, each from the first that says it. A null of `members` is the default. */
static json_t *constraints_of(const json_t *stored, const json_t *members)
{
    static const char *const names[] = {"max_per_day", "cost_per_contact_pounds", "priority"};
    const json_t *now = json_object_get(members, "constraints"), *was = json_object_get(stored, "constraints");
    json_t *all = json_pack("{s:i, s:f, s:i}", names[0], DEFAULT_PER_DAY, names[1], 0.0, names[2], DEFAULT_PRIORITY);
    for (size_t i = 0; all && i < 3; i++) {
        const json_t *given = json_object_get(now, names[i]), *value = given ? given : json_object_get(was, names[i]);
        bool reset = (now && json_is_null(now)) || (given && json_is_null(given));
        if (value && !reset)
            json_object_set(all, names[i], (json_t *)(uintptr_t)value);
    }
    return all;
}

static void put_default(json_t *record, const char *name)
{
    if (!strcmp(name, "description"))
        json_object_set(record, name, json_object_get(record, "display_name"));
    else if (!strcmp(name, "enabled"))
        json_object_set_new(record, name, json_true());
    else if (!strcmp(name, "channel"))
        json_object_set_new(record, name, json_string("none"));
    else if (!strcmp(name, "applies_to"))
        json_object_set_new(record, name, json_array());
}

int record_merge(const json_t *stored, const json_t *members, json_t **ret_record, record_error *ret_error)
{
    if (!json_is_object(members))
        return fault(ret_error, "input", "A treatment is a JSON object.");
    CVM_TRY(check_members("", members, members_known, true, ret_error));
    const json_t *name = json_object_get(members, "display_name");
    if (name ? json_is_null(name) : !json_object_get(stored, "display_name"))
        return fault(ret_error, "display_name", "A treatment needs a display_name.");
    json_t *record = stored ? json_copy((json_t *)(uintptr_t)stored) : json_object();
    for (const struct member *m = members_known; m->name; m++) {
        const json_t *given = json_object_get(members, m->name);
        if (!strcmp(m->name, "constraints"))
            json_object_set_new(record, m->name, constraints_of(stored, members));
        else if (given && json_is_null(given))
            json_object_del(record, m->name);
        else if (given)
            json_object_set(record, m->name, (json_t *)(uintptr_t)given);
        if (!json_object_get(record, m->name))
            put_default(record, m->name);
    }
    if (!json_object_get(json_object_get(record, "constraints"), "priority")) {
        json_decref(record);
        return CVM_ENOMEM;
    }
    *ret_record = record;
    return CVM_OK;
}

int record_new(const json_t *members, json_t **ret_record, record_error *ret_error)
{
    if (json_is_object(members) && json_object_get(members, "display_name") &&
        !json_object_get(members, "description") && !json_object_get(members, "constraints"))
        return fault(ret_error, "description", "A new treatment needs a description or constraints beside its name.");
    return record_merge(NULL, members, ret_record, ret_error);
}

/* ---- of plugins ---- */

int record_of_plugin(const json_t *members, json_t **ret_record, record_error *ret_error)
{
    static const char *const others[] = {"id", "kind", "check", "created_at", "updated_at", "component"};
    const char *id = cvm_json_str(members, "id", "");
    const json_t *per_day = json_object_get(json_object_get(members, "constraints"), "max_per_day");
    json_t *plain, *record = NULL;
    if (!record_is_id(id))
        return fault(ret_error, "id", "The id must be 1 to %d letters, digits and _ . -.", TREATMENT_ID_MAX);
    plain = json_copy((json_t *)(uintptr_t)members);
    for (size_t i = 0; plain && i < sizeof others / sizeof *others; i++)
        json_object_del(plain, others[i]);
    int e = plain ? record_merge(NULL, plain, &record, ret_error) : CVM_ENOMEM;
    json_decref(plain);
    if (e < 0)
        return e;
    if (per_day && json_is_null(per_day))
        json_object_set_new(json_object_get(record, "constraints"), "max_per_day", json_null());
    if (cvm_json_bool(members, "check", false))
        json_object_set_new(record, "check", json_true());
    *ret_record = record;
    return CVM_OK;
}
